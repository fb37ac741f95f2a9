import type { Status } from '../../../src/admin/status.ts';

/** A gateway in the middle of an outage, with every field of the contract set. */
export function exampleStatus(): Status {
  return {
    node: {
      id: 'gw-0042',
      lineage: '0123456789abcdef',
      version: '0.1.0',
      uptimeSeconds: 3725,
      clockTrusted: true,
    },
    alarms: [{ code: 'UPSTREAM_UNREACHABLE', sinceSeconds: 61, message: 'cloud: refused' }],
    listeners: [{ protocol: 'mqtt', address: '127.0.0.1:1883', connections: 3 }],
    clients: {
      connected: 3,
      sessions: 5,
      refusedLogins: { bad_credentials: 2 },
      turnedAway: { tls_handshake: 4 },
    },
    messages: { received: 1000, delivered: 900, memoryOnly: 0, dropped: { qos0_pressure: 7 } },
    ring: {
      sizeBytes: 268_435_456,
      usedBytes: 8_388_608,
      segments: 2,
      epoch: 9,
      retiredSlots: 0,
      corruptRecords: 0,
      lost: [],
      recovery: { durationMs: 42, tornRecords: 1, corruptRecords: 0 },
    },
    wear: {
      payloadBytes: 200_000,
      flashBytes: 220_000,
      carriedBytes: 4096,
      checkpointBytes: 16_384,
      deviceBytes: null,
      flushes: 50,
      amplification: 1.1,
      budgetBytesPerDay: 4_294_967_296,
      bytesPerDay: 3_000_000_000,
      tokenBytes: 178_000_000,
      bucketBytes: 178_956_971,
      commitWindowMs: 0,
      laps: 0.14,
      yearsLeft: null,
      device: null,
    },
    streams: [
      {
        name: 'default',
        whenFull: 'block',
        quotaBytes: 1_048_576,
        quotaUsedBytes: 83_200,
        partitions: [
          { id: 0, headOffset: 10, tailOffset: 1010, durableOffset: 1005, bytes: 204_000 },
        ],
        dropped: {},
      },
    ],
    uplinks: [
      {
        name: 'cloud',
        type: 'mqtt',
        state: 'backoff',
        backlogRecords: 400,
        backlogBytes: 80_000,
        oldestUnackedSeconds: 61,
        sendRate: 0,
        drainEtaSeconds: null,
        appendedRecords: 1000,
        acknowledgedRecords: 600,
        sentRecords: 650,
        retriedRecords: 50,
        duplicatesAvoided: 0,
        deadLettered: 0,
        lappedRecords: 0,
        expiredRecords: 0,
        lastError: 'connect ECONNREFUSED 127.0.0.1:1884',
      },
    ],
  };
}
