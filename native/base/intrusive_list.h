#pragma once

#include <cstddef>

#include "base/assert.h"

namespace paipai {

template <class T, class Tag = void>
class IntrusiveList;

// Base of whatever sits in an IntrusiveList. An object that should sit in several lists at once
// derives from several nodes, told apart by Tag. Destroying a node that is in a list takes it out.
template <class Tag = void>
class IntrusiveListNode {
 public:
  IntrusiveListNode() = default;
  IntrusiveListNode(const IntrusiveListNode&) = delete;
  IntrusiveListNode& operator=(const IntrusiveListNode&) = delete;
  ~IntrusiveListNode() { Unlink(); }

  bool is_linked() const { return next_ != nullptr; }

  // Takes this node out of its list; nothing happens when it is in none.
  void Unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = nullptr;
    previous_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class IntrusiveList;

  IntrusiveListNode* previous_ = nullptr;
  IntrusiveListNode* next_ = nullptr;
};

// A doubly linked list of T, which derives from IntrusiveListNode<Tag>. Owns nothing and allocates
// nothing: whoever owns the elements keeps them until they are out. The nodes form a ring through a
// sentinel inside the list, so that neither end is special and size is not counted.
template <class T, class Tag>
class IntrusiveList {
  using Node = IntrusiveListNode<Tag>;

 public:
  class Iterator {
   public:
    explicit Iterator(Node* node) : node_(node) {}
    T& operator*() const { return *static_cast<T*>(node_); }
    T* operator->() const { return static_cast<T*>(node_); }
    Iterator& operator++() {
      node_ = node_->next_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    Node* node_;
  };

  IntrusiveList() {
    sentinel_.previous_ = &sentinel_;
    sentinel_.next_ = &sentinel_;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  // Leaves the elements unlinked.
  ~IntrusiveList() {
    while (PopFront() != nullptr) {
    }
  }

  bool empty() const { return sentinel_.next_ == &sentinel_; }
  // The first or last element, nullptr when empty.
  T* front() { return empty() ? nullptr : static_cast<T*>(sentinel_.next_); }
  T* back() { return empty() ? nullptr : static_cast<T*>(sentinel_.previous_); }

  // The element must be in no list of this tag.
  void PushBack(T& element) { LinkBefore(sentinel_, element); }
  void PushFront(T& element) { LinkBefore(*sentinel_.next_, element); }

  // Takes the first element out and returns it; nullptr when empty.
  T* PopFront() {
    T* const element = front();
    if (element != nullptr) static_cast<Node*>(element)->Unlink();
    return element;
  }

  // The element must be in this list.
  void Remove(T& element) {
    Node& node = element;
    PP_DEBUG_ASSERT(node.is_linked());
    node.Unlink();
  }

  // Elements may be added while iterating; the current one must stay in until the step past it.
  Iterator begin() { return Iterator(sentinel_.next_); }
  Iterator end() { return Iterator(&sentinel_); }

 private:
  static void LinkBefore(Node& position, Node& node) {
    PP_DEBUG_ASSERT(!node.is_linked());
    node.previous_ = position.previous_;
    node.next_ = &position;
    position.previous_->next_ = &node;
    position.previous_ = &node;
  }

  Node sentinel_;
};

}  // namespace paipai
