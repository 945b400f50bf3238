// CRC32C (Castagnoli) for the floor programs: the instruction where the processor has it, a table
// otherwise.
//
// The instruction has a latency of three cycles and a throughput of one, so three stretches of a
// block are computed side by side and then joined. Joining needs "the CRC after so many zero
// bytes": a linear map, kept as four tables of 256 entries for the one stretch length in use.
#ifndef PAIPAI_BENCH_CRC32C_H_
#define PAIPAI_BENCH_CRC32C_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC32C_TARGET __attribute__((target("sse4.2")))
#define CRC32C_WORD(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define CRC32C_BYTE(crc, byte) _mm_crc32_u8((crc), (byte))
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define CRC32C_TARGET
#define CRC32C_WORD(crc, word) __crc32cd((crc), (word))
#define CRC32C_BYTE(crc, byte) __crc32cb((crc), (byte))
#endif

enum { kCrcStretchBytes = 4096 };

static uint32_t crc32c_byte_table[256];
static uint32_t crc32c_skip_table[4][256];

// The register after one more zero byte.
static uint32_t Crc32cZeroByte(uint32_t crc) { return crc32c_byte_table[crc & 0xff] ^ (crc >> 8); }

// Fills the tables; call once before the first Crc32c.
static void Crc32cInit(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    crc32c_byte_table[i] = crc;
  }
  // The map is linear: the images of the 32 single bits give all others by XOR.
  uint32_t image[32];
  for (int bit = 0; bit < 32; bit++) {
    uint32_t crc = 1u << bit;
    for (int i = 0; i < kCrcStretchBytes; i++) crc = Crc32cZeroByte(crc);
    image[bit] = crc;
  }
  for (int byte = 0; byte < 4; byte++) {
    for (uint32_t value = 0; value < 256; value++) {
      uint32_t crc = 0;
      for (int bit = 0; bit < 8; bit++) {
        if (value >> bit & 1) crc ^= image[byte * 8 + bit];
      }
      crc32c_skip_table[byte][value] = crc;
    }
  }
}

#ifdef CRC32C_TARGET

static uint32_t Crc32cSkip(uint32_t crc) {
  return crc32c_skip_table[0][crc & 0xff] ^ crc32c_skip_table[1][crc >> 8 & 0xff] ^
         crc32c_skip_table[2][crc >> 16 & 0xff] ^ crc32c_skip_table[3][crc >> 24];
}

static uint64_t Crc32cLoad(const uint8_t* bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

CRC32C_TARGET static uint32_t Crc32cRun(uint32_t crc, const uint8_t* bytes, size_t count) {
  while (count >= 3 * kCrcStretchBytes) {
    uint32_t second = 0;
    uint32_t third = 0;
    for (size_t i = 0; i < kCrcStretchBytes; i += 8) {
      crc = CRC32C_WORD(crc, Crc32cLoad(bytes + i));
      second = CRC32C_WORD(second, Crc32cLoad(bytes + kCrcStretchBytes + i));
      third = CRC32C_WORD(third, Crc32cLoad(bytes + 2 * kCrcStretchBytes + i));
    }
    crc = Crc32cSkip(Crc32cSkip(crc) ^ second) ^ third;
    bytes += 3 * kCrcStretchBytes;
    count -= 3 * kCrcStretchBytes;
  }
  for (; count >= 8; bytes += 8, count -= 8) crc = CRC32C_WORD(crc, Crc32cLoad(bytes));
  for (; count > 0; bytes++, count--) crc = CRC32C_BYTE(crc, *bytes);
  return crc;
}

#else

static uint32_t Crc32cRun(uint32_t crc, const uint8_t* bytes, size_t count) {
  for (; count > 0; bytes++, count--) crc = crc32c_byte_table[(crc ^ *bytes) & 0xff] ^ (crc >> 8);
  return crc;
}

#endif

// Continues `crc` (0 at the start) over `count` bytes.
static uint32_t Crc32c(uint32_t crc, const void* bytes, size_t count) {
  return ~Crc32cRun(~crc, bytes, count);
}

#endif  // PAIPAI_BENCH_CRC32C_H_
