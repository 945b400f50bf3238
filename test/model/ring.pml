/*
 * The sleep and wake flags of native/shm/ring.h: one writer, one reader, a ring of CAPACITY bytes, ITEMS of them to pass.
 * The four accesses are sequentially consistent in the code, so interleaving their single steps is all that can happen.
 * Spin reports an invalid end state when both ends sleep (a lost wake-up), and a failed assertion when bytes are lost or
 * overrun. With FORGET_SECOND_LOOK the sleeper does not look again after setting its flag, and must be found out.
 */

#define ITEMS 5
#define CAPACITY 2

byte written, read;
bit reader_sleeps, writer_sleeps;
/* As an eventfd: a wake-up waits for who sleeps later. */
byte reader_wakes, writer_wakes;

#ifdef FORGET_SECOND_LOOK
#define SECOND_LOOK(nothing) true
#else
#define SECOND_LOOK(nothing) nothing
#endif

/* Load, then exchange: two steps, between which the sleeper may take its flag back. */
inline wake(sleeps, wakes) {
  if
  :: sleeps -> atomic { if :: sleeps -> sleeps = 0; wakes++ :: else fi }
  :: else
  fi
}

inline sleep(sleeps, wakes, nothing) {
  sleeps = 1;
  if
  :: SECOND_LOOK(nothing) -> atomic { wakes > 0 -> wakes = 0 }
  :: else -> sleeps = 0
  fi
}

active proctype Writer() {
  do
  :: written == ITEMS -> break
  :: written < ITEMS ->
    if
    :: written - read < CAPACITY -> written++; wake(reader_sleeps, reader_wakes)
    :: else -> sleep(writer_sleeps, writer_wakes, (written - read == CAPACITY))
    fi
  od
}

active proctype Reader() {
  do
  :: read == ITEMS -> break
  :: read < ITEMS ->
    if
    :: written - read > 0 ->
      assert(written - read <= CAPACITY);
      read++;
      wake(writer_sleeps, writer_wakes)
    :: else -> sleep(reader_sleeps, reader_wakes, (written == read))
    fi
  od
}
