#include "base/intrusive_list.h"

#include <memory>
#include <string>

#include "test.h"

namespace paipai {
namespace {

struct ByAge;

struct Item : IntrusiveListNode<>, IntrusiveListNode<ByAge> {
  explicit Item(char name) : letter(name) {}
  const char letter;
};

using List = IntrusiveList<Item>;
using ListByAge = IntrusiveList<Item, ByAge>;

template <class AnyList>
std::string Letters(AnyList& list) {
  std::string letters;
  for (const Item& item : list) letters += item.letter;
  return letters;
}

void KeepsOrder() {
  Item a('a'), b('b'), c('c');
  List list;
  CHECK(list.empty());
  list.PushBack(b);
  list.PushBack(c);
  list.PushFront(a);
  CHECK_EQUAL(Letters(list), "abc");
  CHECK_EQUAL(list.front()->letter, 'a');
  CHECK_EQUAL(list.back()->letter, 'c');
}

void EmptyHasNoEnds() {
  List list;
  CHECK(list.front() == nullptr);
  CHECK(list.back() == nullptr);
  CHECK(list.PopFront() == nullptr);
  CHECK_EQUAL(Letters(list), "");
}

void TakesOutAnywhere() {
  Item a('a'), b('b'), c('c'), d('d');
  List list;
  for (Item* item : {&a, &b, &c, &d}) list.PushBack(*item);
  list.Remove(b);
  CHECK_EQUAL(Letters(list), "acd");
  CHECK(list.PopFront() == &a);
  list.Remove(d);
  CHECK_EQUAL(Letters(list), "c");
  list.PushBack(a);
  CHECK_EQUAL(Letters(list), "ca");
}

void AnElementThatDiesLeavesItsList() {
  Item a('a'), c('c');
  auto b = std::make_unique<Item>('b');
  List list;
  list.PushBack(a);
  list.PushBack(*b);
  list.PushBack(c);
  b.reset();
  CHECK_EQUAL(Letters(list), "ac");
}

void AListThatDiesLetsGo() {
  Item a('a');
  {
    List list;
    list.PushBack(a);
  }
  CHECK(!static_cast<IntrusiveListNode<>&>(a).is_linked());
  List other;
  other.PushBack(a);
  CHECK_EQUAL(Letters(other), "a");
}

void OneElementInTwoLists() {
  Item a('a'), b('b');
  List list;
  ListByAge by_age;
  list.PushBack(a);
  list.PushBack(b);
  by_age.PushBack(b);
  by_age.PushBack(a);
  list.Remove(a);
  CHECK_EQUAL(Letters(list), "b");
  CHECK_EQUAL(Letters(by_age), "ba");
}

void GrowsWhileIterating() {
  Item a('a'), b('b');
  List list;
  list.PushBack(a);
  std::string seen;
  for (const Item& item : list) {
    seen += item.letter;
    if (item.letter == 'a') list.PushBack(b);
  }
  CHECK_EQUAL(seen, "ab");
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(argument_count, arguments,
                        {
                            {"KeepsOrder", KeepsOrder},
                            {"EmptyHasNoEnds", EmptyHasNoEnds},
                            {"TakesOutAnywhere", TakesOutAnywhere},
                            {"AnElementThatDiesLeavesItsList", AnElementThatDiesLeavesItsList},
                            {"AListThatDiesLetsGo", AListThatDiesLetsGo},
                            {"OneElementInTwoLists", OneElementInTwoLists},
                            {"GrowsWhileIterating", GrowsWhileIterating},
                        });
}
