#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace paipai {

class BufferPool;

// One block of a pool, with the bytes in use between `begin` and `end`. Owned: one holder; the
// block goes back to its pool with the holder. Thread: that of the pool.
//
//      data()            begin()           end()           data() + kBlockBytes
//        |     spent       |    in use       |     free      |
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { Release(); }

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* begin() const { return data_ + begin_; }
  uint8_t* end() const { return data_ + end_; }
  size_t size() const { return end_ - begin_; }
  size_t room() const;

  // Adds up to `size` bytes of `bytes` behind the end; returns how many fitted.
  size_t Append(const uint8_t* bytes, size_t size);
  void Clear() { begin_ = end_ = 0; }
  // Gives the block back now.
  void Release();

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, uint8_t* data) : pool_(pool), data_(data) {}

  BufferPool* pool_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace paipai
