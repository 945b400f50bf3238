/*
 * Locks with a lease, and the fence of shard maps (lib/coordination/locks.ts, lib/api/shard-maps.ts, lib/cluster/transfer/map-fences.ts): HOLDERS clients take one lock in
 * turn, and may stand still for as long as they like between any two steps, while their lease ends. Who changes data claims their map with the token
 * of the lock, which the map keeps, and then tells the node under the version of that map. Checked in every interleaving: what the node takes never comes
 * from a lower token than what it took before, and no two have one token.
 * Each macro takes out one precaution, and must be found out.
 */

#define HOLDERS 3
#define NOBODY 255

byte holder = NOBODY;
/* Of all that were given. */
byte highest_token = 0;
/* The map in the table: its version, and the highest token under which it was claimed. */
byte map_version = 0, map_fence = 0;
/* What the node has heard of, and under whose token it was changed last. */
byte seen_version = 0, written_token = 0;

#ifdef NO_FENCE
#define MAY_CLAIM(token) true
#else
#define MAY_CLAIM(token) (token >= map_fence)
#endif

#ifdef NODE_FORGETS
#define MAY_WRITE(version) true
#else
#define MAY_WRITE(version) (version >= seen_version)
#endif

active [HOLDERS] proctype Client() {
  byte token, version;
  atomic {
    holder == NOBODY -> holder = _pid;
#ifdef TOKEN_TWICE
    token = 1;
#else
    token = highest_token + 1;
#endif
    assert(token > highest_token);
    highest_token = token
  }
  /* From here on its lease may be over, and it does not know. */
  atomic {
    if
    :: MAY_CLAIM(token) -> map_fence = token; map_version++; version = map_version
    :: else -> goto refused
    fi
  }
  atomic {
    if
    :: MAY_WRITE(version) ->
      assert(token >= written_token);
      seen_version = version;
      written_token = token
    :: else -> goto refused
    fi
  }
refused:
  atomic { if :: holder == _pid -> holder = NOBODY :: else fi }
}

/* A lease that is not kept alive ends, whatever its holder does. */
active proctype Leases() {
  byte left = HOLDERS;
  do
  :: left > 0 -> holder = NOBODY; left--
  :: left == 0 -> break
  od
}
