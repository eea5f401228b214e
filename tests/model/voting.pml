/* The voting rules of a mesh of four, one node of it Byzantine, through three views, for spin.
 * README.md says what is left out and why nothing is lost by it; check.sh runs it.
 *
 * NO_S7_1, NO_S7_3, NO_S7_3_NULL, NO_S7_4, NO_S7_5, NO_S8 and NO_S9 leave one rule out each. */

#define HONEST 3
#define NEEDED 2 /* honest votes in a quorum of three: the Byzantine node adds its own to any */
#define VIEWS 3

#ifdef NO_S7_1
#define S7_1 0
#else
#define S7_1 1
#endif
#ifdef NO_S7_3
#define S7_3 0
#else
#define S7_3 1
#endif
#ifdef NO_S7_3_NULL
#define S7_3_NULL 0
#else
#define S7_3_NULL 1
#endif
#ifdef NO_S7_4
#define S7_4 0
#else
#define S7_4 1
#endif
#ifdef NO_S7_5
#define S7_5 0
#else
#define S7_5 1
#endif
#ifdef NO_S8
#define S8 0
#define EARLY /* who may nullify after finalizing must finalize first */
#else
#define S8 1
#endif
#ifdef NO_S9
#define S9 0
#else
#define S9 1
#endif

/* What an honest node has signed, five bits a view: 0 and 1, notarized the view's first or second
 * block; 2, nullified; 3 and 4 (only with EARLY), finalized the first or second. */
int node[HONEST];

/* Blocks. 1 is genesis; the two of view v that matter are 2v and 2v + 1, in the order in which
 * somebody voted for them. A block's parent is chosen by its leader, Byzantine like all, when the
 * first honest node votes for it; 0: nobody did yet. */
#define GENESIS 1
#define BLOCK(v, x) (2 * (v) + (x))
#define VIEW_OF(b) ((b) / 2)
#define NUMBER_OF(b) ((b) % 2)
byte parent[2 * VIEWS + 2];

#define BIT(i, v, k) ((node[i] >> (5 * ((v) - 1) + (k))) & 1)
#define SET(i, v, k) node[i] = node[i] | (1 << (5 * ((v) - 1) + (k)))
#define NOTARIZED(i, v) (BIT(i, v, 0) || BIT(i, v, 1))
#define NULLIFIED(i, v) BIT(i, v, 2)
#define FINALIZED(i, v) (BIT(i, v, 3) || BIT(i, v, 4))

/* Certificates: the network and the Byzantine node may show any that can exist to anybody. */
#define QUORUM(v, k) (BIT(0, v, k) + BIT(1, v, k) + BIT(2, v, k) >= NEEDED)
#define NOTARIZATION(v, x) QUORUM(v, x)
#define NULLIFICATION(v) QUORUM(v, 2)
#define CLEARED(v) (NOTARIZATION(v, 0) || NOTARIZATION(v, 1) || NULLIFICATION(v)) /* S5 */
#define CERTIFIED(b) ((b) == GENESIS || NOTARIZATION(VIEW_OF(b), NUMBER_OF(b)))

/* S9: a node finalizes what is notarized, never beside its own nullify vote. Without EARLY it is
 * counted where it may still do so, which is when most may. */
#define MAY_FINALIZE(i, v, x) (NOTARIZATION(v, x) && (!S9 || !NULLIFIED(i, v)))
#ifdef EARLY
#define FINALIZATION(v, x) QUORUM(v, 3 + (x))
#else
#define FINALIZATION(v, x) \
  (MAY_FINALIZE(0, v, x) + MAY_FINALIZE(1, v, x) + MAY_FINALIZE(2, v, x) >= NEEDED)
#endif
#define FINAL(v) (FINALIZATION(v, 0) || FINALIZATION(v, 1))

/* S7.1, S8: view v is current for a node that was shown as little as it can have been: those below
 * are cleared, and it has not voted beyond. */
#define BEYOND(v) (5 * (v))
#define CURRENT(i, v) \
  (!S7_1 || ((node[i] >> BEYOND(v)) == 0 && (v == 1 || CLEARED(1)) && (v <= 2 || CLEARED(2))))

/* S7.5: every view between that of the parent b and v is nullified. */
#define OVER(u, b, v) (u <= VIEW_OF(b) || u >= (v) || NULLIFICATION(u))
#define GAP(b, v) (!S7_5 || (OVER(1, b, v) && OVER(2, b, v)))

hidden int swapped;
hidden byte at, final_below;

/* Honest nodes are alike: keeping them in order leaves one of six states that differ by names. */
inline in_order(a, b) {
  if
  :: node[a] > node[b] -> swapped = node[a]; node[a] = node[b]; node[b] = swapped
  :: else
  fi
}

/* The final block of view v, if there is one, descends from that of view u. */
inline check_chain(u, v) {
  if
  :: FINAL(u) && FINAL(v) ->
     at = (FINALIZATION(v, 0) -> BLOCK(v, 0) : BLOCK(v, 1));
     final_below = (FINALIZATION(u, 0) -> BLOCK(u, 0) : BLOCK(u, 1));
     do
     :: VIEW_OF(at) > u -> at = parent[at]
     :: else -> break
     od;
     assert(at == final_below) /* agreement */
  :: else
  fi
}

inline check_view(v) {
  assert(!(FINAL(v) && NULLIFICATION(v))); /* S10 would halt */
  assert(!(NOTARIZATION(v, 0) && NOTARIZATION(v, 1)))
}

inline settle() {
  in_order(0, 1); in_order(1, 2); in_order(0, 1);
  check_view(1); check_view(2); check_view(3);
  check_chain(1, 2); check_chain(1, 3); check_chain(2, 3);
  at = 0; final_below = 0; swapped = 0
}

/* S7: block x of the current view v, whose parent is b. */
#define MAY_NOTARIZE(i, v, x, b) \
  (CURRENT(i, v) && (S7_3 -> !NOTARIZED(i, v) : !BIT(i, v, x)) \
   && (!S7_3_NULL || !NULLIFIED(i, v)) \
   && (x == 0 || parent[BLOCK(v, 0)] != 0) \
   && (parent[BLOCK(v, x)] == 0 || parent[BLOCK(v, x)] == b) \
   && (b == GENESIS || parent[b] != 0) \
   && (!S7_4 || CERTIFIED(b)) && GAP(b, v))
#define NOTARIZE(i, v, x, b) \
  :: MAY_NOTARIZE(i, v, x, b) -> SET(i, v, x); parent[BLOCK(v, x)] = b; \
     printf("a node notarizes block %d of view %d, whose parent is block %d\n", BLOCK(v, x), v, b)

/* S8: a timer may expire at any time. */
#define NULLIFY(i, v) \
  :: CURRENT(i, v) && !NULLIFIED(i, v) && (!S8 || !FINALIZED(i, v)) -> SET(i, v, 2); \
     printf("a node nullifies view %d\n", v)

#ifdef EARLY
#define FINALIZE(i, v, x) \
  :: MAY_FINALIZE(i, v, x) && !FINALIZED(i, v) -> SET(i, v, 3 + x); \
     printf("a node finalizes block %d of view %d\n", BLOCK(v, x), v)
#else
#define FINALIZE(i, v, x)
#endif

#define STEPS_OF(i) \
  NOTARIZE(i, 1, 0, 1) NOTARIZE(i, 1, 1, 1) \
  NOTARIZE(i, 2, 0, 1) NOTARIZE(i, 2, 0, 2) NOTARIZE(i, 2, 0, 3) \
  NOTARIZE(i, 2, 1, 1) NOTARIZE(i, 2, 1, 2) NOTARIZE(i, 2, 1, 3) \
  NOTARIZE(i, 3, 0, 1) NOTARIZE(i, 3, 0, 2) NOTARIZE(i, 3, 0, 3) NOTARIZE(i, 3, 0, 4) \
  NOTARIZE(i, 3, 0, 5) \
  NOTARIZE(i, 3, 1, 1) NOTARIZE(i, 3, 1, 2) NOTARIZE(i, 3, 1, 3) NOTARIZE(i, 3, 1, 4) \
  NOTARIZE(i, 3, 1, 5) \
  NULLIFY(i, 1) NULLIFY(i, 2) NULLIFY(i, 3) \
  FINALIZE(i, 1, 0) FINALIZE(i, 1, 1) FINALIZE(i, 2, 0) FINALIZE(i, 2, 1) FINALIZE(i, 3, 0) \
  FINALIZE(i, 3, 1)

init {
end: /* wherever the nodes stop */
  do
  :: atomic {
       if
       STEPS_OF(0)
       STEPS_OF(1)
       STEPS_OF(2)
       fi;
       d_step { settle() }
     }
  od
}
