#include "io/uring_ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"

namespace paipai {
namespace {

using namespace uring;

constexpr uint32_t kCompletionsPerSubmission = 4;

uint32_t LoadAcquire(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void StoreRelease(uint32_t* word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void* Map(int fd, size_t bytes, uint64_t offset) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
              static_cast<off_t>(offset));
}

}  // namespace

Result<std::unique_ptr<UringRing>> UringRing::Open(uint32_t entries, uint32_t setup_flags) {
  Params params{};
  params.flags = setup_flags | kSetupCqSize;
  params.cq_entries = entries * kCompletionsPerSubmission;
  const long fd = syscall(kSysSetup, entries, &params);
  if (fd < 0) return Error::System(errno);
  std::unique_ptr<UringRing> ring(new UringRing());
  ring->fd_ = OwnedDescriptor(static_cast<int>(fd));
  constexpr uint32_t kNeeded = kFeatureSingleMmap | kFeatureNoDrop;
  if ((params.features & kNeeded) != kNeeded) return Error::System(ENOSYS);

  const size_t rings_bytes = std::max(params.sq.array + params.sq_entries * sizeof(uint32_t),
                                      params.cq.cqes + params.cq_entries * sizeof(Cqe));
  void* const rings = Map(ring->fd(), rings_bytes, kOffsetRings);
  if (rings == MAP_FAILED) return Error::System(errno);
  ring->rings_ = static_cast<uint8_t*>(rings);
  ring->rings_bytes_ = rings_bytes;
  const size_t sqes_bytes = params.sq_entries * sizeof(Sqe);
  void* const sqes = Map(ring->fd(), sqes_bytes, kOffsetSqes);
  if (sqes == MAP_FAILED) return Error::System(errno);
  ring->sqes_ = static_cast<Sqe*>(sqes);
  ring->sqes_bytes_ = sqes_bytes;

  const auto word = [&](uint32_t offset) {
    return reinterpret_cast<uint32_t*>(ring->rings_ + offset);
  };
  ring->sq_tail_ = word(params.sq.tail);
  ring->sq_flags_ = word(params.sq.flags);
  ring->cq_head_ = word(params.cq.head);
  ring->cq_tail_ = word(params.cq.tail);
  ring->cqes_ = reinterpret_cast<Cqe*>(ring->rings_ + params.cq.cqes);
  ring->entries_ = params.sq_entries;
  ring->cq_mask_ = params.cq_entries - 1;
  // Submissions are used in their own order, so the indirection never changes.
  for (uint32_t i = 0; i < params.sq_entries; ++i) word(params.sq.array)[i] = i;
  return ring;
}

UringRing::~UringRing() {
  if (sqes_ != nullptr) munmap(sqes_, sqes_bytes_);
  if (rings_ != nullptr) munmap(rings_, rings_bytes_);
}

bool UringRing::Supports(Op op) const {
  Probe probe{};
  constexpr size_t kOps = sizeof(probe.ops) / sizeof(probe.ops[0]);
  if (syscall(kSysRegister, fd(), kRegisterProbe, &probe, kOps) < 0) return false;
  const auto index = static_cast<uint8_t>(op);
  return index <= probe.last_op && (probe.ops[index].flags & kOpSupported) != 0;
}

Sqe& UringRing::Queue(Op op, int fd, uint64_t user_data) {
  PP_DEBUG_ASSERT(!is_full());
  const uint32_t tail = *sq_tail_;
  Sqe& sqe = sqes_[tail & (entries_ - 1)];
  sqe = Sqe{};
  sqe.op = op;
  sqe.fd = fd;
  sqe.user_data = user_data;
  // The kernel does not look before the next call, which orders this behind what the caller adds.
  StoreRelease(sq_tail_, tail + 1);
  ++queued_;
  return sqe;
}

Result<void> UringRing::Enter(Purpose purpose, uint32_t wait) {
  const uint32_t flags = purpose == Purpose::kForEvents || wait > 0 ? kEnterGetEvents : 0;
  do {
    const long taken = syscall(kSysEnter, fd(), queued_, wait, flags, nullptr, size_t{0});
    if (taken >= 0) {
      // Fewer than were queued, if one could not be taken: its completion says why, and the rest is
      // submitted by the next round.
      queued_ -= static_cast<uint32_t>(taken);
    } else if (errno != EINTR) {
      return Error::System(errno);
    }
  } while (queued_ > 0);
  return {};
}

bool UringRing::HasHiddenEvents() const {
  return (LoadAcquire(sq_flags_) & (kSqCqOverflow | kSqTaskrun)) != 0;
}

bool UringRing::Take(Cqe& cqe) {
  const uint32_t head = *cq_head_;
  if (head == LoadAcquire(cq_tail_)) return false;
  cqe = cqes_[head & cq_mask_];
  StoreRelease(cq_head_, head + 1);
  return true;
}

}  // namespace paipai
