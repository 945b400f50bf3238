#pragma once

#include <cstdint>

// What we use of the kernel's interface to io_uring, by our own names: distributions' headers are
// years behind. Source: include/uapi/linux/io_uring.h of Linux 6.12.
namespace paipai::uring {

inline constexpr long kSysSetup = 425;
inline constexpr long kSysEnter = 426;
inline constexpr long kSysRegister = 427;

enum SetupFlags : uint32_t {
  kSetupCqSize = 1u << 3,
  kSetupSubmitAll = 1u << 7,
  kSetupCoopTaskrun = 1u << 8,
  kSetupTaskrunFlag = 1u << 9,
  kSetupSingleIssuer = 1u << 12,
};

enum Features : uint32_t {
  kFeatureSingleMmap = 1u << 0,
  kFeatureNoDrop = 1u << 1,
};

enum SqFlags : uint32_t {
  kSqCqOverflow = 1u << 1,
  kSqTaskrun = 1u << 2,
};

inline constexpr uint32_t kEnterGetEvents = 1u << 0;
inline constexpr uint32_t kRegisterProbe = 8;
inline constexpr uint16_t kOpSupported = 1u << 0;

inline constexpr uint64_t kOffsetRings = 0;
inline constexpr uint64_t kOffsetSqes = 0x10000000;

enum class Op : uint8_t {
  kNop = 0,
  kPollAdd = 6,
  kSendMessage = 9,
  kReceiveMessage = 10,
  kCancel = 14,
  kSend = 26,
  kReceive = 27,
};

struct SqOffsets {
  uint32_t head, tail, mask, entries, flags, dropped, array, reserved1;
  uint64_t reserved2;
};
struct CqOffsets {
  uint32_t head, tail, mask, entries, overflow, cqes, flags, reserved1;
  uint64_t reserved2;
};
struct Params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
  uint32_t reserved[3];
  SqOffsets sq;
  CqOffsets cq;
};
static_assert(sizeof(Params) == 120);

// One submission.
struct Sqe {
  Op op;
  uint8_t flags;
  uint16_t priority;
  int32_t fd;
  uint64_t offset;
  uint64_t address;
  uint32_t length;
  uint32_t op_flags;  // Of send and receive: MSG_*; of a poll: the events.
  uint64_t user_data;
  uint64_t reserved[3];
};
static_assert(sizeof(Sqe) == 64);

// One completion.
struct Cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};
static_assert(sizeof(Cqe) == 16);

struct ProbeOp {
  uint8_t op;
  uint8_t reserved1;
  uint16_t flags;
  uint32_t reserved2;
};
struct Probe {
  uint8_t last_op;
  uint8_t count;
  uint16_t reserved1;
  uint32_t reserved2[3];
  ProbeOp ops[64];
};
static_assert(sizeof(Probe) == 16 + 64 * 8);

}  // namespace paipai::uring
