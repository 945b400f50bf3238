#include "memory/buffer_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "memory/buffer.h"
#include "memory/pool_budget.h"
#include "memory/slab.h"
#include "test.h"

namespace paipai {
namespace {

void ABlockTakesBytesAndGoesBack() {
  BufferPool pool;
  {
    Buffer buffer = pool.Acquire();
    CHECK(buffer);
    CHECK_EQUAL(pool.blocks_in_use(), 1);
    CHECK_EQUAL(buffer.size(), 0);
    CHECK_EQUAL(buffer.room(), kBlockBytes);
    const uint8_t bytes[] = {1, 2, 3};
    CHECK_EQUAL(buffer.Append(bytes, 3), 3);
    CHECK_EQUAL(buffer.size(), 3);
    CHECK(std::equal(buffer.begin(), buffer.end(), bytes));
  }
  CHECK_EQUAL(pool.blocks_in_use(), 0);
}

void AppendTakesWhatFits() {
  BufferPool pool;
  Buffer buffer = pool.Acquire();
  const std::vector<uint8_t> bytes(kBlockBytes + 1, 7);
  CHECK_EQUAL(buffer.Append(bytes.data(), kBlockBytes - 1), kBlockBytes - 1);
  CHECK_EQUAL(buffer.room(), 1);
  CHECK_EQUAL(buffer.Append(bytes.data(), 2), 1);
  CHECK_EQUAL(buffer.Append(bytes.data(), 1), 0);
  CHECK_EQUAL(buffer.Append(nullptr, 0), 0);
  CHECK_EQUAL(buffer.size(), kBlockBytes);
  buffer.Clear();
  CHECK_EQUAL(buffer.Append(bytes.data(), bytes.size()), kBlockBytes);
}

void TheBudgetIsAWall() {
  constexpr size_t kMax = 3;
  BufferPool pool(kMax);
  std::vector<Buffer> held;
  for (size_t i = 0; i < kMax; ++i) {
    held.push_back(pool.Acquire());
    CHECK(held.back());
  }
  CHECK_EQUAL(pool.exhausted_count(), 0);
  CHECK(!pool.Acquire());
  CHECK(!pool.Acquire());
  CHECK_EQUAL(pool.exhausted_count(), 2);
  CHECK_EQUAL(pool.blocks_in_use(), kMax);
  held.pop_back();
  CHECK(pool.Acquire());
  CHECK_EQUAL(pool.blocks_in_use(), kMax - 1);
}

// Warm memory first.
void TheLastBlockBackIsTheFirstOut() {
  BufferPool pool;
  Buffer first = pool.Acquire();
  Buffer second = pool.Acquire();
  const uint8_t* const memory = first.begin();
  first.Release();
  CHECK(!first);
  CHECK(pool.Acquire().begin() == memory);
}

size_t ResidentBytes(const std::vector<uint8_t*>& blocks) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t bytes = 0;
  for (uint8_t* block : blocks) {
    unsigned char pages[kBlockBytes / 4096];
    CHECK_EQUAL(mincore(block, kBlockBytes, pages), 0);
    for (size_t i = 0; i < kBlockBytes / page; ++i) bytes += (pages[i] & 1) * page;
  }
  return bytes;
}

void WhatABurstNeededGoesBackToTheSystem() {
  BufferPool pool;
  std::vector<Buffer> held(4 * kWarmBlocksMax);
  std::vector<uint8_t*> blocks;
  const std::vector<uint8_t> bytes(kBlockBytes, 7);
  for (Buffer& buffer : held) {
    buffer = pool.Acquire();
    buffer.Append(bytes.data(), bytes.size());
    blocks.push_back(buffer.begin());
  }
  CHECK_EQUAL(ResidentBytes(blocks), blocks.size() * kBlockBytes);
  for (Buffer& buffer : held) buffer.Release();
  CHECK_EQUAL(ResidentBytes(blocks), kWarmBlocksMax * kBlockBytes);
  // The addresses serve again.
  for (Buffer& buffer : held) {
    buffer = pool.Acquire();
    CHECK_EQUAL(buffer.Append(bytes.data(), bytes.size()), kBlockBytes);
  }
  std::set<uint8_t*> again;
  for (Buffer& buffer : held) again.insert(buffer.begin());
  CHECK(again == std::set<uint8_t*>(blocks.begin(), blocks.end()));
}

void BlocksDoNotOverlap() {
  constexpr size_t kCount = 3 * kSlabBytes / kBlockBytes + 1;
  BufferPool pool;
  std::vector<Buffer> held;
  std::set<uint8_t*> starts;
  for (size_t i = 0; i < kCount; ++i) {
    held.push_back(pool.Acquire());
    const std::vector<uint8_t> bytes(kBlockBytes, static_cast<uint8_t>(i));
    held.back().Append(bytes.data(), bytes.size());
    starts.insert(held.back().begin());
  }
  CHECK_EQUAL(starts.size(), kCount);
  for (size_t i = 0; i < kCount; ++i) {
    const auto is_own = [i](uint8_t byte) { return byte == static_cast<uint8_t>(i); };
    CHECK(std::all_of(held[i].begin(), held[i].end(), is_own));
  }
}

void AMovedBufferHasOneHolder() {
  BufferPool pool;
  Buffer buffer = pool.Acquire();
  const uint8_t byte = 9;
  buffer.Append(&byte, 1);
  Buffer moved = std::move(buffer);
  CHECK_EQUAL(moved.size(), 1);
  Buffer other = pool.Acquire();
  other = std::move(moved);
  CHECK_EQUAL(*other.begin(), 9);
  other.Release();
  other.Release();
  moved.Release();
  CHECK_EQUAL(pool.blocks_in_use(), 0);
}

void ASlabIsWholePages() {
  Slab slab(1);
  CHECK(slab.data() != nullptr);
  CHECK_EQUAL(slab.size() % 4096, 0);
  slab.data()[slab.size() - 1] = 1;
  Slab moved = std::move(slab);
  CHECK(slab.data() == nullptr);
  CHECK_EQUAL(moved.data()[moved.size() - 1], 1);
  const Slab refused(SIZE_MAX / 2);
  CHECK(refused.data() == nullptr);
  // A hint, whatever the range.
  AdviseHugePages(moved.data(), moved.size());
  AdviseHugePages(nullptr, 0);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"a block takes bytes and goes back", ABlockTakesBytesAndGoesBack},
          {"append takes what fits", AppendTakesWhatFits},
          {"the budget is a wall", TheBudgetIsAWall},
          {"the last block back is the first out", TheLastBlockBackIsTheFirstOut},
          {"what a burst needed goes back to the system", WhatABurstNeededGoesBackToTheSystem},
          {"blocks do not overlap", BlocksDoNotOverlap},
          {"a moved buffer has one holder", AMovedBufferHasOneHolder},
          {"a slab is whole pages", ASlabIsWholePages},
      });
}
