// The floor of the case `transfer`: data in shards over one connection, each chunk checked by
// CRC32C, stored, each shard confirmed. Both roles: `transfer server --path tcp|unix ...`,
// `transfer client --address ... --bytes N --shard-bytes N`. Linux: epoll, non-blocking sockets,
// one thread a side.
//
// The case `bulk` is the same work with messages of `--message-bytes` for shards, of which each
// side has only `--kept-messages` in memory: they are sent, and stored, over and over.
//
// On the wire, in the byte order of the machine (both sides are on it):
//   chunk        { magic u32, bytes u32, offset u64, crc32c u32, shard bytes u32, total bytes u64
//   }, then the bytes confirmation { shard u32, status u32 }
//
// Why it is as it is: chunks of 256 KiB are still in the cache of the second level when the kernel
// copies them behind the checksum, and again when the receiver checks them. The receiver asks for
// the rest of a chunk and the next header in one readv, straight into their places. Memory for the
// data comes in huge pages: first touches of small ones cost 0.5 s for each GiB, more than the
// transfer itself.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "crc32c.h"
#include "floor.h"

enum { kMagic = 0x52464e54, kChunkBytes = 256 * 1024, kWindowShards = 64 };

struct ChunkHeader {
  uint32_t magic;
  uint32_t bytes;
  uint64_t offset;
  uint32_t crc;
  uint32_t shard_bytes;
  uint64_t total_bytes;
};
_Static_assert(sizeof(struct ChunkHeader) == 32, "no padding");

struct Confirmation {
  uint32_t shard;
  uint32_t status;
};

static uint64_t ShardBytes(int argc, char** argv) {
  uint64_t message_bytes = NumberSetting(argc, argv, "message-bytes", 1 << 20);
  return NumberSetting(argc, argv, "shard-bytes", message_bytes);
}

// Bytes of the data that are in memory: all of them, or as many as the messages that are kept have.
static uint64_t KeptBytes(int argc, char** argv, uint64_t total_bytes) {
  uint64_t kept = NumberSetting(argc, argv, "kept-messages", 0) * ShardBytes(argc, argv);
  return kept == 0 || kept > total_bytes ? total_bytes : kept;
}

// Zeroed memory for the whole of the data, asked for in one piece with huge pages, as a receiver
// does that was told how much comes.
static uint8_t* Reserve(uint64_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

struct Receiver {
  int fd;
  struct ChunkHeader header;
  size_t header_filled;
  size_t chunk_filled;
  uint8_t* memory;
  uint64_t kept_bytes;
  uint64_t total_bytes;
  uint64_t stored_bytes;
  struct Confirmation confirmations[kWindowShards * 2];
  size_t confirmation_bytes;
};

static void CheckHeader(struct Receiver* receiver) {
  const struct ChunkHeader* header = &receiver->header;
  errno = 0;
  if (header->magic != kMagic || header->bytes == 0 || header->bytes > kChunkBytes) Fail("chunk");
  if (receiver->memory == NULL) {
    receiver->total_bytes = header->total_bytes;
    errno = EINVAL;
    if (receiver->kept_bytes == 0) Fail("--bytes");
    receiver->memory = Reserve(receiver->kept_bytes);
  }
  if (header->offset != receiver->stored_bytes) Fail("order of chunks");
  if (header->bytes > receiver->total_bytes - header->offset) Fail("length of a chunk");
}

// Where the current chunk is stored.
static uint8_t* Place(struct Receiver* receiver) {
  return receiver->memory + receiver->header.offset % receiver->kept_bytes;
}

static void FlushConfirmations(struct Receiver* receiver) {
  const uint8_t* bytes = (const uint8_t*)receiver->confirmations;
  size_t sent = 0;
  // A confirmation of 8 bytes always finds room: the sender never has more than its window under
  // way.
  while (sent < receiver->confirmation_bytes) {
    sent += (size_t)Must(
        send(receiver->fd, bytes + sent, receiver->confirmation_bytes - sent, MSG_NOSIGNAL),
        "send a confirmation");
  }
  receiver->confirmation_bytes = 0;
}

static void FinishChunk(struct Receiver* receiver) {
  const struct ChunkHeader* header = &receiver->header;
  errno = 0;
  if (Crc32c(0, Place(receiver), header->bytes) != header->crc) Fail("checksum of a chunk");
  receiver->stored_bytes += header->bytes;
  if (receiver->stored_bytes % header->shard_bytes == 0 ||
      receiver->stored_bytes == receiver->total_bytes) {
    receiver->confirmations[receiver->confirmation_bytes / sizeof(struct Confirmation)] =
        (struct Confirmation){.shard = (uint32_t)(header->offset / header->shard_bytes),
                              .status = 0};
    receiver->confirmation_bytes += sizeof(struct Confirmation);
    FlushConfirmations(receiver);
  }
}

// Reads until the socket is empty; false at the end of the stream.
static bool Receive(struct Receiver* receiver) {
  for (;;) {
    bool in_chunk = receiver->header_filled == sizeof receiver->header;
    struct ChunkHeader next;
    struct iovec parts[2];
    int count = 0;
    size_t chunk_left = 0;
    if (in_chunk) {
      chunk_left = receiver->header.bytes - receiver->chunk_filled;
      parts[count++] = (struct iovec){Place(receiver) + receiver->chunk_filled, chunk_left};
      parts[count++] = (struct iovec){&next, sizeof next};
    } else {
      parts[count++] = (struct iovec){(uint8_t*)&receiver->header + receiver->header_filled,
                                      sizeof receiver->header - receiver->header_filled};
    }
    ssize_t got = readv(receiver->fd, parts, count);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) return false;
    if (!in_chunk) {
      receiver->header_filled += (size_t)got;
    } else if ((size_t)got < chunk_left) {
      receiver->chunk_filled += (size_t)got;
      continue;
    } else {
      FinishChunk(receiver);
      receiver->header_filled = (size_t)got - chunk_left;
      memcpy(&receiver->header, &next, receiver->header_filled);
      receiver->chunk_filled = 0;
    }
    if (receiver->header_filled == sizeof receiver->header) CheckHeader(receiver);
  }
}

static void Watch(int epoll, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  Must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int RunServer(int argc, char** argv) {
  char address[128];
  int listener = ListenAsSet(argc, argv, address, sizeof address);
  int epoll = (int)Must(epoll_create1(0), "epoll_create1");
  Watch(epoll, listener, EPOLLIN);
  Watch(epoll, STDIN_FILENO, EPOLLIN);
  static struct Receiver receiver = {.fd = -1};
  receiver.kept_bytes = KeptBytes(argc, argv, NumberSetting(argc, argv, "bytes", 1 << 30));
  double cpu = CpuSeconds();
  printf("{\"event\":\"ready\",\"address\":\"%s\"}\n", address);
  for (;;) {
    struct epoll_event events[8];
    int count = epoll_wait(epoll, events, 8, -1);
    if (count < 0 && errno != EINTR) Fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == listener) {
        receiver.fd = (int)Must(accept(listener, NULL, NULL), "accept");
        SetNonBlocking(receiver.fd);
        SetNoDelay(receiver.fd, address);
        Watch(epoll, receiver.fd, EPOLLIN);
      } else if (events[i].data.fd == receiver.fd) {
        if (!Receive(&receiver))
          Must(epoll_ctl(epoll, EPOLL_CTL_DEL, receiver.fd, NULL), "epoll_ctl");
      } else {
        char command[32];
        if (!ReadCommand(command, sizeof command) || strcmp(command, "end") == 0) return 0;
        if (strcmp(command, "usage") == 0) {
          printf("{\"event\":\"usage\",\"cpuSeconds\":%.6f}\n", CpuSeconds() - cpu);
        } else if (strcmp(command, "verify") == 0) {
          printf("{\"event\":\"verify\",\"storedBytes\":%llu,\"storedChecksum\":\"%08x\"}\n",
                 (unsigned long long)receiver.stored_bytes,
                 Crc32c(0, receiver.memory, receiver.kept_bytes));
        }
      }
    }
  }
}

struct Sender {
  int fd;
  const uint8_t* data;
  uint64_t kept_bytes;
  uint64_t total_bytes;
  uint32_t shard_bytes;
  uint32_t shard_count;
  uint64_t next_offset;  // Of the chunk after the current one.
  struct ChunkHeader header;
  const uint8_t* chunk;
  size_t frame_sent;  // Bytes of the current header and chunk that the kernel has taken.
  size_t frame_bytes;
  uint32_t confirmed_count;
  struct Confirmation confirmation;
  size_t confirmation_filled;
};

// Begins the next chunk; false when the window is full or everything has been sent.
static bool NextChunk(struct Sender* sender) {
  if (sender->next_offset == sender->total_bytes) return false;
  uint64_t shard = sender->next_offset / sender->shard_bytes;
  if (shard >= (uint64_t)sender->confirmed_count + kWindowShards) return false;
  uint64_t shard_end = (shard + 1) * sender->shard_bytes;
  if (shard_end > sender->total_bytes) shard_end = sender->total_bytes;
  uint64_t left = shard_end - sender->next_offset;
  uint32_t bytes = left < kChunkBytes ? (uint32_t)left : kChunkBytes;
  sender->chunk = sender->data + sender->next_offset % sender->kept_bytes;
  sender->header = (struct ChunkHeader){.magic = kMagic,
                                        .bytes = bytes,
                                        .offset = sender->next_offset,
                                        .crc = Crc32c(0, sender->chunk, bytes),
                                        .shard_bytes = sender->shard_bytes,
                                        .total_bytes = sender->total_bytes};
  sender->frame_sent = 0;
  sender->frame_bytes = sizeof sender->header + bytes;
  sender->next_offset += bytes;
  return true;
}

// Sends until the kernel takes no more or the window is full.
static void Send(struct Sender* sender) {
  while (sender->frame_sent < sender->frame_bytes || NextChunk(sender)) {
    struct iovec parts[2];
    int count = 0;
    size_t header_sent = sender->frame_sent;
    if (header_sent < sizeof sender->header) {
      parts[count++] = (struct iovec){(uint8_t*)&sender->header + header_sent,
                                      sizeof sender->header - header_sent};
      parts[count++] = (struct iovec){(void*)sender->chunk, sender->header.bytes};
    } else {
      size_t chunk_sent = header_sent - sizeof sender->header;
      parts[count++] =
          (struct iovec){(void*)(sender->chunk + chunk_sent), sender->header.bytes - chunk_sent};
    }
    ssize_t sent = writev(sender->fd, parts, count);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      Fail("writev");
    }
    sender->frame_sent += (size_t)sent;
  }
}

static void ReadConfirmations(struct Sender* sender) {
  for (;;) {
    ssize_t got = recv(sender->fd, (uint8_t*)&sender->confirmation + sender->confirmation_filled,
                       sizeof sender->confirmation - sender->confirmation_filled, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) Fail("receive a confirmation");
    sender->confirmation_filled += (size_t)got;
    if (sender->confirmation_filled < sizeof sender->confirmation) continue;
    sender->confirmation_filled = 0;
    errno = 0;
    if (sender->confirmation.shard != sender->confirmed_count || sender->confirmation.status != 0) {
      Fail("order of confirmations");
    }
    sender->confirmed_count++;
  }
}

static void TransferAll(struct Sender* sender) {
  int epoll = (int)Must(epoll_create1(0), "epoll_create1");
  // Edge-triggered: `Send` and `ReadConfirmations` both go on until the kernel says no.
  Watch(epoll, sender->fd, EPOLLIN | EPOLLOUT | EPOLLET);
  while (sender->confirmed_count < sender->shard_count) {
    struct epoll_event event;
    if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) Fail("epoll_wait");
    ReadConfirmations(sender);
    Send(sender);
  }
  close(epoll);
}

static int RunClient(int argc, char** argv) {
  static struct Sender sender;
  sender.total_bytes = NumberSetting(argc, argv, "bytes", 1 << 30);
  sender.kept_bytes = KeptBytes(argc, argv, sender.total_bytes);
  sender.shard_bytes = (uint32_t)ShardBytes(argc, argv);
  sender.shard_count =
      (uint32_t)((sender.total_bytes + sender.shard_bytes - 1) / sender.shard_bytes);
  uint8_t* data = Reserve(sender.kept_bytes + 8);
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (uint64_t i = 0; i < sender.kept_bytes; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    memcpy(data + i, &state, 8);
  }
  sender.data = data;
  sender.fd = ConnectTo(Setting(argc, argv, "address", ""));
  SetNonBlocking(sender.fd);
  printf("{\"event\":\"ready\"}\n");
  char command[32];
  while (ReadCommand(command, sizeof command) && strcmp(command, "end") != 0) {
    if (strcmp(command, "run") == 0) {
      double cpu = CpuSeconds();
      double start = NowSeconds();
      TransferAll(&sender);
      double seconds = NowSeconds() - start;
      printf("{\"event\":\"run\",\"seconds\":%.9f,\"cpuSeconds\":%.6f,\"bytes\":%llu}\n", seconds,
             CpuSeconds() - cpu, (unsigned long long)sender.total_bytes);
    } else if (strcmp(command, "verify") == 0) {
      printf("{\"event\":\"verify\",\"sentBytes\":%llu,\"sentChecksum\":\"%08x\"}\n",
             (unsigned long long)sender.total_bytes, Crc32c(0, sender.data, sender.kept_bytes));
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  Crc32cInit();
  return PlayRole(argc, argv, RunServer, RunClient);
}
