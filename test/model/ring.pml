/*
 * The ring's life on flash: append, commit, rotate, carry, checkpoint, cut, recover. What is left out,
 * what each step stands for in the code, and how to run it: README.md. A macro of the form BREAK_x puts
 * in a defect, which the checker has to find.
 */
#ifndef SLOTS
#define SLOTS 6
#endif
#ifndef RECORDS
#define RECORDS 7
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
/* Batches that a segment has room for; one with fewer than that is small and is copied whole. */
#ifndef BATCHES
#define BATCHES 2
#endif
#define NONE SLOTS
#define ALL_SLOTS ((1 << SLOTS) - 1)
#define TO_OPEN 3
#define FOR_START 2

/* A record is a bit of a byte. The last retained one is carried; the last control record is carried by
 * the checkpoint; plain ones go with their segment. Which are which is chosen at the start. */
byte RETAINED;
byte CONTROL;
#define PLAIN (255 & ~(RETAINED | CONTROL))

/* The highest bit of a byte, 0 for none: the last value of a key. */
#define LAST(m) ((m) > 127 -> 128 : ((m) > 63 -> 64 : ((m) > 31 -> 32 : ((m) > 15 -> 16 : \
  ((m) > 7 -> 8 : ((m) > 3 -> 4 : ((m) > 1 -> 2 : (m))))))))
/* The last value in `found` is that in `owed`, or a later one. */
#define AS_NEW(found, owed, kind) (((found) & (kind)) >= LAST((owed) & (kind)))

/* What lies in a slot: a header page, and batches behind it, which need not belong together. */
typedef Slot {
  byte headerEpoch;  /* 0: none that is sound */
  bool headerBad;    /* the page is neither sound nor zero */
  byte previous;     /* epoch of the segment before */
  byte next;         /* the slot that is named as the next one */
  byte live[SLOTS];  /* by slot, the epoch that is live there */
  byte batchEpoch;   /* of the sound batches */
  byte batches;      /* how many of them */
  byte goesOnEpoch;  /* the first batch names the one before it: its epoch, */
  byte goesOnAt;     /* and which batch of that segment it is, from 1 */
  bool damaged;      /* a bad batch before a sound one */
  bool junk;         /* something torn, of which not even the header is left, behind the sound ones */
  bool fresh;        /* some batch has a record that is no copy */
  bool provisional;  /* every batch is: they are copies, and let no segment go */
  byte gone;         /* slots of those that its header calls live and its batches let go */
  byte records;      /* of all batches */
  byte tail;         /* of the last one */
};

Slot flash[SLOTS];
/* After a kill one slot may be newer in the page cache, which is `flash`, than on the medium. */
Slot unsynced;
byte dirty = NONE;
Slot spare;           /* scratch */

/* The write in flight, if any: `coming` will be what lies in slot `writing`. */
Slot coming;
byte writing = NONE;
byte told;            /* the records whose waiters its return releases */
byte checkpoint;      /* control records that are durable in it */

/* The process. */
mtype = { off, starting, running };
mtype phase = off;
byte epoch;
byte liveIn[SLOTS];
byte newest;
byte free;
byte next = NONE;
byte passed;          /* slots of segments passed over, to be freed by the first commit */
byte copiedSlot = NONE;
byte victim = NONE;
byte known;            /* free slots that a start after a cut now would find, beside the newest */
mtype = { carrying, carried, flushing, telling };
mtype recycling;

/* What the world knows. */
byte tried;           /* records that were ever given to a write */
byte acknowledged;    /* those whose publisher was told, or that a start has shown */
byte letGo;           /* plain ones that rotation took */
byte dead;            /* tried, told to nobody, and not shown by a start: gone for good */
byte appended;        /* how many records were made */
byte crashes;

#define HAS(mask, slot) (((mask) >> (slot)) & 1)
#define BIT(slot) (1 << (slot))
#define COUNT(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1) + \
  (((m) >> 4) & 1) + (((m) >> 5) & 1) + (((m) >> 6) & 1) + (((m) >> 7) & 1))
#define IN_HAND (COUNT(free) + (next != NONE -> 1 : 0))

/* Scratch of one step: zero between steps, so that it adds no states. */
hidden byte i; hidden byte j; hidden byte k; hidden byte best; hidden byte bestAt;
hidden byte base; hidden byte source; hidden byte descriptor;
hidden byte top; hidden byte second; hidden byte written; hidden byte scanned;
hidden byte found; hidden byte copies; hidden byte oldEpoch; hidden byte oldAt;
hidden byte whole; hidden byte isShort; hidden byte stops; hidden byte ok;
/* Candidates: a slot's header, and behind it (+ SLOTS) what was found in the slot page by page. */
hidden byte candidate[12];

/* Printed where a trail is replayed: each slot with its header's epoch, its batches' epoch and their
 * records, and what the header calls live. */
inline printFlash() {
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    printf("    slot %d: header %d%c next %d, batches %d of %d%c goes on %d.%d, records %x, live", j,
      flash[j].headerEpoch, (flash[j].headerBad -> '?' : ' '), flash[j].next, flash[j].batches,
      flash[j].batchEpoch, (flash[j].damaged -> '!' : (flash[j].junk -> '~' : (flash[j].fresh -> '+' : ' '))),
      flash[j].goesOnEpoch, flash[j].goesOnAt, flash[j].records);
    k = 0;
    do
    :: k == SLOTS -> break
    :: else -> printf(" %d", flash[j].live[k]); k++
    od;
    printf("\n");
    j++
  od;
  printf("    acknowledged %x, let go %x, dead %x, checkpoint %x\n", acknowledged, letGo, dead, checkpoint)
}

/* ---- slots.ts ---- */

inline nameAfter(slot) {
  next = NONE;
  j = 1;
  do
  :: j > SLOTS -> break
  :: else ->
    if
    :: next == NONE && HAS(free, (slot + j) % SLOTS) ->
      next = (slot + j) % SLOTS;
      free = free & ~BIT(next)
    :: else
    fi;
    j++
  od
}

inline giveBack(slot) {
  if
  :: next == NONE -> next = slot
  :: else -> free = free | BIT(slot)
  fi
}

/* ---- segment-opener.ts: `coming` is a new segment in the slot that was named ---- */

inline openSegment(mask, isFresh, goesOnE, goesOnN) {
  assert(next != NONE);
  newest = next;
  /* No slot is free and live at once. */
  assert(liveIn[newest] == 0);
  nameAfter(newest);
  epoch++;
  liveIn[newest] = epoch;
  known = IN_HAND;
  coming.headerEpoch = epoch;
  coming.headerBad = false;
  coming.previous = goesOnE;
  coming.next = next;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else -> coming.live[j] = liveIn[j]; j++
  od;
  coming.batchEpoch = epoch;
  coming.batches = 1;
  coming.goesOnEpoch = goesOnE;
  coming.goesOnAt = goesOnN;
  coming.damaged = false;
  coming.junk = false;
  coming.fresh = isFresh;
  coming.provisional = !(isFresh);
  coming.gone = 0;
  coming.records = mask;
  coming.tail = mask;
  writing = newest
}

inline copySlot(to, from) {
  to.headerEpoch = from.headerEpoch; to.headerBad = from.headerBad;
  to.previous = from.previous; to.next = from.next;
  k = 0;
  do
  :: k == SLOTS -> break
  :: else -> to.live[k] = from.live[k]; k++
  od;
  copyBatches(to, from)
}

inline copyBatches(to, from) {
  to.batchEpoch = from.batchEpoch; to.batches = from.batches;
  to.goesOnEpoch = from.goesOnEpoch; to.goesOnAt = from.goesOnAt;
  to.damaged = from.damaged; to.junk = from.junk; to.fresh = from.fresh;
  to.provisional = from.provisional; to.gone = from.gone;
  to.records = from.records; to.tail = from.tail
}

inline clearSlot(to) {
  to.headerEpoch = 0; to.headerBad = false; to.previous = 0; to.next = 0;
  k = 0;
  do
  :: k == SLOTS -> break
  :: else -> to.live[k] = 0; k++
  od;
  clearBatches(to)
}

inline clearBatches(to) {
  to.batchEpoch = 0; to.batches = 0; to.goesOnEpoch = 0; to.goesOnAt = 0;
  to.damaged = false; to.junk = false; to.fresh = false; to.provisional = false; to.gone = 0;
  to.records = 0; to.tail = 0
}

/* ---- commit.ts ---- */

/* One batch more: into the newest segment, or into a new one where that is full. */
inline write(mask, isFresh) {
  if
  :: flash[newest].batches < BATCHES ->
    copySlot(coming, flash[newest]);
    coming.batches = coming.batches + 1;
    coming.fresh = coming.fresh || isFresh;
    coming.provisional = coming.provisional && !(isFresh);
    coming.records = coming.records | (mask);
    coming.tail = mask;
    writing = newest
  :: else ->
    oldEpoch = flash[newest].batchEpoch;
    oldAt = flash[newest].batches;
    openSegment(mask, isFresh, oldEpoch, oldAt)
  fi
}

/* The word that a slot is let go. Room is kept for it in the newest segment. */
inline writeLetGo(slot) {
  copySlot(coming, flash[newest]);
  coming.provisional = false;
  coming.gone = coming.gone | BIT(slot);
  known++;
  writing = newest
}

/* ---- what a cut leaves of a write: of the header page and of the batch each the old, the new, or
 *      nonsense; a torn batch may leave the old ones that lie behind it ---- */

inline tear(slot, before, after) {
  if
  :: copySlot(flash[slot], before)
  :: copySlot(flash[slot], after)
  :: before.headerEpoch == after.headerEpoch ->
    copySlot(flash[slot], before);
    flash[slot].junk = true
  :: before.headerEpoch != after.headerEpoch ->
    if
    :: copySlot(flash[slot], before)
    :: copySlot(flash[slot], after)
    :: clearSlot(flash[slot]) -> flash[slot].headerBad = true
    fi;
    if
    :: copyBatches(flash[slot], before)
    :: copyBatches(flash[slot], after)
    :: clearBatches(flash[slot]) -> flash[slot].junk = true
    :: before.batches > 1 ->
      copyBatches(flash[slot], before);
      flash[slot].records = before.tail;
      flash[slot].batches = 1;
      flash[slot].damaged = true
    fi
  fi
}

/* ---- recovery.ts and base-segment.ts: what the flash says ---- */

#define SLOT_OF(c) ((c) % SLOTS)
#define HAS_HEADER(c) ((c) < SLOTS)
#define SOUND(c) (flash[SLOT_OF(c)].batches > 0 && flash[SLOT_OF(c)].batchEpoch == candidate[c])

/* The newest candidate below an epoch into `best`, 2 * SLOTS for none. */
inline newestBelow(limit, headersOnly) {
  best = 2 * SLOTS;
  bestAt = 0;
  j = 0;
  do
  :: j == 2 * SLOTS || (headersOnly && j == SLOTS) -> break
  :: else ->
    if
    :: candidate[j] > bestAt && candidate[j] < (limit) -> best = j; bestAt = candidate[j]
    :: else
    fi;
    j++
  od
}

inline findCandidates() {
  j = 0;
  do
  :: j == SLOTS -> break
  :: else -> candidate[j] = flash[j].headerEpoch; candidate[j + SLOTS] = 0; j++
  od;
  newestBelow(255, true);
  top = best;
  assert(top < SLOTS);
  newestBelow(candidate[top], true);
  second = best;
  epoch = candidate[top];
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: flash[j].batches > 0 &&
       (flash[j].headerBad || flash[top].next == j || (second < SLOTS && flash[second].next == j)) ->
      if
#ifndef BREAK_PROVISIONAL_WITHOUT_ITS_HEADER
      :: (flash[j].batchEpoch > candidate[top] && !flash[j].provisional) ||
#else
      :: flash[j].batchEpoch > candidate[top] ||
#endif
         (flash[j].headerEpoch == 0 && flash[j].batchEpoch == flash[top].live[j]) ->
        candidate[j + SLOTS] = flash[j].batchEpoch
      :: else
      fi;
      if
      :: flash[j].batchEpoch > epoch -> epoch = flash[j].batchEpoch
      :: else
      fi
    :: else
    fi;
    j++
  od
}

#define PROVISIONAL(c) (HAS_HEADER(c) && flash[SLOT_OF(c)].provisional && SOUND(c))

/* By the header at `descriptor` and what followed it. */
#define CALLED_LIVE(slot) (flash[descriptor].live[slot] != 0 && \
  !(SOUND(descriptor) && HAS(flash[descriptor].gone, slot)))

/* The newest header at or before the source describes what was live then: all of it must be where it
 * was, and not have been written since. */
inline checkUntouched() {
  newestBelow(candidate[source] + 1, true);
  descriptor = best;
  ok = descriptor < SLOTS && !HAS(written, SLOT_OF(source));
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: ok && CALLED_LIVE(j) ->
      k = (candidate[j] != 0 -> candidate[j] : candidate[j + SLOTS]);
      ok = k == flash[descriptor].live[j] && !HAS(written, j)
    :: else
    fi;
    j++
  od
}

inline syncSlot(slot) {
  if
#ifndef BREAK_NO_SYNC_AT_START
  :: dirty == (slot) -> dirty = NONE; clearSlot(unsynced)
#endif
  :: else
  fi
}

/* Into `source` the segment that `base` was opened behind, 2 * SLOTS for none. */
inline findSource() {
  source = 2 * SLOTS;
  j = 0;
  do
  :: j == 2 * SLOTS -> break
  :: else ->
    if
    :: candidate[j] != 0 && candidate[j] < candidate[base] && SOUND(j) &&
       candidate[j] == flash[SLOT_OF(base)].previous &&
       flash[SLOT_OF(j)].batches >= flash[SLOT_OF(base)].goesOnAt && !flash[SLOT_OF(j)].damaged ->
      source = j
    :: else
    fi;
    j++
  od
}

inline findBase() {
  i = 255;
  base = 2 * SLOTS;
  do
  :: base < 2 * SLOTS -> break
  :: else ->
    newestBelow(i, false);
    assert(best < 2 * SLOTS);
    if
#ifndef BREAK_EMPTY_HEADER_COUNTS
    :: SOUND(best) -> base = best
#else
    :: true -> base = best
#endif
    :: else -> i = candidate[best]
    fi
  od;
  syncSlot(SLOT_OF(base));
  passed = 0;
  written = 0;
  stops = false;
  do
  :: stops || !PROVISIONAL(base) -> break
  :: else ->
    written = written | BIT(SLOT_OF(base));
    written = written | BIT(flash[SLOT_OF(base)].next);
    findSource();
    if
    :: source < 2 * SLOTS ->
      checkUntouched();
      if
      :: ok ->
        syncSlot(SLOT_OF(source));
        base = source
      :: else -> stops = true
      fi
    :: else -> stops = true
    fi
  od;
  j = 0;
  do
  :: j == 2 * SLOTS -> break
  :: else ->
    if
    :: candidate[j] > candidate[base] && SLOT_OF(j) != SLOT_OF(base) -> passed = passed | BIT(SLOT_OF(j))
    :: else
    fi;
    j++
  od
}

/* What is live, into `liveIn`, and all its records, into `found`. */
inline findLive() {
  descriptor = base;
  if
  :: HAS_HEADER(base)
  :: else -> newestBelow(candidate[base], true); descriptor = (best < SLOTS -> best : top)
  fi;
  found = 0;
  i = 0;
  do
  :: i == SLOTS -> break
  :: else -> liveIn[i] = 0; i++
  od;
  i = 0;
  do
  :: i == 2 * SLOTS -> break
  :: else ->
    if
    :: candidate[i] != 0 && candidate[i] < candidate[base] && SLOT_OF(i) != SLOT_OF(base) &&
       ((CALLED_LIVE(SLOT_OF(i)) && flash[descriptor].live[SLOT_OF(i)] == candidate[i]) ||
        (!HAS_HEADER(base) && candidate[i] > candidate[descriptor])) ->
      liveIn[SLOT_OF(i)] = candidate[i];
      if
      :: SOUND(i) -> found = found | flash[SLOT_OF(i)].records
      :: else
      fi
    :: else
    fi;
    i++
  od;
  newest = SLOT_OF(base);
  liveIn[newest] = candidate[base];
  if
  :: SOUND(base) -> found = found | flash[newest].records
  :: else
  fi
}

/* What must never break, as a start finds it. */
inline checkFound() {
  assert((acknowledged & PLAIN & ~letGo & ~found) == 0);
  assert(AS_NEW(found, acknowledged, RETAINED));
  assert(AS_NEW(found | checkpoint, acknowledged, CONTROL));
  assert((found & dead) == 0);
  assert((found & ~tried) == 0)
}

/* ---- open.ts ---- */

/* The slot of the oldest live segment but the newest, plain ones first, into `best`. */
inline findOldest(plainFirst) {
  best = NONE;
  bestAt = 255;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: j != newest && liveIn[j] != 0 && liveIn[j] < bestAt &&
       (!plainFirst || (flash[j].records & (RETAINED | CONTROL)) == 0) ->
      best = j;
      bestAt = liveIn[j]
    :: else
    fi;
    j++
  od
}

/* Records that are nowhere live but in `slot`, into `k`. */
inline findOnlyIn(slot) {
  k = flash[slot].records;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: j != slot && liveIn[j] != 0 -> k = k & ~flash[j].records
    :: else
    fi;
    j++
  od
}

/* The newest of the slots that were passed over: what one relies on is in an older one. */
inline freePassedOver() {
  best = NONE;
  bestAt = 0;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    k = (flash[j].headerEpoch > flash[j].batchEpoch -> flash[j].headerEpoch : flash[j].batchEpoch);
    if
    :: HAS(passed, j) && k > bestAt -> best = j; bestAt = k
    :: else
    fi;
    j++
  od;
  passed = passed & ~BIT(best);
  giveBack(best)
}

inline freeAtStart() {
  free = 0;
  next = NONE;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: liveIn[j] == 0 && !HAS(passed, j) -> free = free | BIT(j)
    :: else
    fi;
    j++
  od;
  i = flash[descriptor].next;
  nameAfter(i + SLOTS - 1)
}

inline writeFirstBatch() {
  if
  :: IN_HAND == 0 && passed != 0 -> freePassedOver()
  :: else
  fi;
  /* No start has to let anything go: that is for damage. */
  assert(IN_HAND > 0);
  do
  :: IN_HAND >= FOR_START || passed == 0 -> break
  :: else -> freePassedOver()
  od;
  isShort = IN_HAND < FOR_START;
  oldEpoch = flash[newest].batchEpoch;
  oldAt = flash[newest].batches;
  whole = flash[newest].batches < BATCHES;
  copies = (whole -> flash[newest].records : (isShort -> 0 : flash[newest].tail));
  copiedSlot = NONE;
  if
  :: whole ->
    liveIn[newest] = 0;
    if
#ifdef BREAK_WRITES_OVER_ITS_SOURCE
    :: true ->
      if
      :: next != NONE -> free = free | BIT(next)
      :: else
      fi;
      next = newest
#else
    :: isShort -> giveBack(newest)
#endif
    :: else -> copiedSlot = newest
    fi
  :: else
  fi;
  openSegment(copies, false, oldEpoch, oldAt);
  told = 0;
  phase = starting
}

inline startIsDone() {
  known = known + COUNT(passed) + (copiedSlot != NONE -> 1 : 0);
  do
  :: passed == 0 -> break
  :: else -> freePassedOver()
  od;
  if
  :: copiedSlot != NONE -> giveBack(copiedSlot); copiedSlot = NONE
  :: else
  fi;
  found = 0;
  j = 0;
  do
  :: j == SLOTS -> break
  :: else ->
    if
    :: liveIn[j] != 0 && flash[j].batchEpoch == liveIn[j] -> found = found | flash[j].records
    :: else
    fi;
    j++
  od;
  checkFound();
  /* What a start has shown must stay; what it has not shown must never rise again. */
  dead = dead | (tried & ~found & ~acknowledged);
  acknowledged = acknowledged | found;
  letGo = letGo & ~found;
  phase = running
}

inline forgetProcess() {
  phase = off;
  writing = NONE;
  told = 0;
  victim = NONE;
  recycling = 0;
  copiedSlot = NONE;
  passed = 0;
  free = 0;
  next = NONE;
  newest = 0;
  known = 0;
  epoch = 0;
  k = 0;
  do
  :: k == SLOTS -> break
  :: else -> liveIn[k] = 0; k++
  od;
  clearSlot(coming)
}

inline clearScratch() {
  i = 0; j = 0; k = 0; best = 0; bestAt = 0; base = 0; source = 0; descriptor = 0; top = 0;
  second = 0; written = 0; scanned = 0; found = 0; copies = 0; oldEpoch = 0; oldAt = 0;
  whole = false; isShort = false; stops = false; ok = false
}

#define LAST_RETAINED LAST((acknowledged | tried) & ~dead & RETAINED)

active proctype ring() {
  /* A ring that was made: an empty first segment. */
  d_step {
    flash[0].headerEpoch = 1;
    flash[0].next = 1;
    flash[0].live[0] = 1;
    flash[0].batchEpoch = 1;
    flash[0].batches = 1
  };
  if
  :: RETAINED = 146; CONTROL = 36
  :: RETAINED = 2; CONTROL = 4
  fi;
end:
  do
  /* open.ts: a start reads, syncs what it takes as given, and writes its first batch. */
  :: phase == off ->
    d_step {
      findCandidates();
      findBase();
      findLive();
      checkFound();
      freeAtStart();
      writeFirstBatch();
      printf("start: goes on from slot %d, found %x, first batch into slot %d, next %d, free %x\n",
        SLOT_OF(base), found, newest, next, free);
      clearScratch()
    }

  /* A publisher: its record is in a batch of its own, which is being written from now on. */
  :: phase == running && writing == NONE && appended < RECORDS &&
#ifndef BREAK_FRESH_IN_THE_LAST_SLOT
     known > 0 &&
#endif
     (flash[newest].batches < BATCHES || IN_HAND >= TO_OPEN) ->
    d_step {
      told = BIT(appended);
      tried = tried | told;
      appended++;
      write(told, true);
      printf("append: record %x into slot %d\n", told, newest);
#ifdef BREAK_ACK_BEFORE_SYNC
      acknowledged = acknowledged | told;
#endif
      clearScratch()
    }

  /* The synced write returns. */
  :: writing != NONE ->
    d_step {
      copySlot(flash[writing], coming);
      if
      :: dirty == writing -> dirty = NONE; clearSlot(unsynced)
      :: else
      fi;
      printf("durable: slot %d\n", writing);
      writing = NONE;
      clearSlot(coming);
      acknowledged = acknowledged | told;
      told = 0;
      if
      :: phase == starting -> startIsDone()
      :: else
      fi;
      if
      :: recycling == carrying -> recycling = carried
      :: recycling == telling -> giveBack(victim); victim = NONE; recycling = 0
      :: else
      fi;
      clearScratch()
    }

  /* recycler.ts: the oldest goes while too few slots are free. */
  :: phase == running && writing == NONE && victim == NONE && IN_HAND < TO_OPEN ->
    d_step {
      findOldest(false);
      if
      :: best != NONE ->
        victim = best;
        printf("recycle: slot %d\n", victim);
        if
#ifndef BREAK_NOTHING_IS_CARRIED
        :: (flash[victim].records & LAST_RETAINED) != 0 ->
          copies = flash[victim].records & LAST_RETAINED;
          write(copies, false);
          recycling = carrying
#endif
        :: else -> recycling = carried
        fi
      :: else
      fi;
      clearScratch()
    }
  :: phase == running && recycling == carried ->
    recycling = flushing;
#ifdef BREAK_FREE_BEFORE_CHECKPOINT
    d_step {
      findOnlyIn(victim);
      letGo = letGo | (k & PLAIN);
      liveIn[victim] = 0;
      giveBack(victim);
      clearScratch()
    }
#endif
  :: phase == running && recycling == flushing && (known >= FOR_START || writing == NONE) ->
    d_step {
      checkpoint = checkpoint | (acknowledged & CONTROL);
      recycling = 0;
#ifndef BREAK_FREE_BEFORE_CHECKPOINT
      findOnlyIn(victim);
      letGo = letGo | (k & PLAIN);
      liveIn[victim] = 0;
      if
#ifndef BREAK_LETS_GO_WITHOUT_A_WORD
      :: known < FOR_START ->
        writeLetGo(victim);
        recycling = telling
#endif
      :: else -> giveBack(victim); victim = NONE
      fi;
#else
      victim = NONE;
#endif
      clearScratch()
    }

  /* The power goes, in a start or at any other moment. */
  :: crashes < CRASHES && (phase != off || dirty != NONE) ->
    atomic {
      crashes++;
      if
      :: recycling == flushing -> checkpoint = checkpoint | (acknowledged & CONTROL)
      :: true
      fi;
      if
      :: dirty != NONE && dirty != writing ->
        copySlot(spare, flash[dirty]);
        tear(dirty, unsynced, spare)
      :: else
      fi;
      if
      :: writing != NONE ->
        if
        :: dirty != writing -> copySlot(unsynced, flash[writing])
        :: else
        fi;
        tear(writing, unsynced, coming)
      :: else
      fi;
      clearSlot(spare);
      dirty = NONE;
      clearSlot(unsynced);
      printf("power cut while slot %d was written\n", writing);
      printFlash();
      forgetProcess();
      clearScratch()
    }

  /* The process is killed: what was written is in the page cache, and not on the medium yet. */
  :: crashes < CRASHES && phase != off ->
    atomic {
      crashes++;
      if
      :: writing != NONE ->
        /* Writeback has come to what an earlier kill left. */
        dirty = writing;
        copySlot(unsynced, flash[writing]);
        copySlot(flash[writing], coming)
      :: true
      fi;
      printf("kill\n");
      printFlash();
      forgetProcess();
      clearScratch()
    }
  od
}
