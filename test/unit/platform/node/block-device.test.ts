import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBlockDevice } from '../../../../src/platform/node/block-device.ts';

/** As a kernel shows it: 1,000 sectors written. */
const STAT = '  10 0 80 5  250 3 1000 90 0 60 95 0 0 0 0 40 2\n';

let sys: string;
/** The data directory's own device number, so that it is found in the made-up tree. */
let device: string;

beforeEach(() => {
  sys = mkdtempSync(join(tmpdir(), 'cistern-sys-'));
  const { dev } = statSync(sys);
  device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}`;
});

afterEach(() => rmSync(sys, { recursive: true, force: true }));

function put(path: string, content: string): void {
  mkdirSync(dirname(join(sys, path)), { recursive: true });
  writeFileSync(join(sys, path), content);
}

function link(path: string, to: string): void {
  mkdirSync(dirname(join(sys, path)), { recursive: true });
  mkdirSync(join(sys, to), { recursive: true });
  symlinkSync(join(sys, to), join(sys, path));
}

const CARD = 'devices/platform/mmc0/mmc0:0001/block/mmcblk0';

/** A card with a second partition, which holds the data directory. */
function putCard(): void {
  put(`${CARD}/mmcblk0p2/partition`, '2\n');
  put(`${CARD}/mmcblk0p2/stat`, STAT);
  put(`${CARD}/stat`, STAT.replace('1000', '9999'));
  put(`${CARD}/device/life_time`, '0x02 0x05\n');
  put(`${CARD}/device/pre_eol_info`, '0x01\n');
  put('fs/ext4/mmcblk0p2/lifetime_write_kbytes', '2000\n');
}

test('a partition of an eMMC tells its own writes, and the wear of the whole card', () => {
  putCard();
  link(`dev/block/${device}`, `${CARD}/mmcblk0p2`);
  const found = findBlockDevice(sys, sys);
  expect(found).toMatchObject({ name: 'mmcblk0p2', disk: 'mmcblk0' });
  expect(found?.read()).toEqual({
    writtenBytes: 512_000,
    flashHealth: { usedShares: [0.2, 0.5], preEndOfLife: 'normal' },
    fileSystemWrittenBytes: 2_048_000,
  });
  put(`${CARD}/mmcblk0p2/stat`, STAT.replace('1000', '1001'));
  expect(found?.read().writtenBytes).toBe(512_512);
});

test('below encryption and volumes is the card', () => {
  putCard();
  put('devices/virtual/block/dm-1/stat', STAT);
  link('devices/virtual/block/dm-1/slaves/dm-0', 'devices/virtual/block/dm-0');
  link('devices/virtual/block/dm-0/slaves/mmcblk0p2', `${CARD}/mmcblk0p2`);
  link(`dev/block/${device}`, 'devices/virtual/block/dm-1');
  const found = findBlockDevice(sys, sys);
  expect(found).toMatchObject({ name: 'dm-1', disk: 'mmcblk0' });
  expect(found?.read()).toMatchObject({
    writtenBytes: 512_000,
    flashHealth: { usedShares: [0.2, 0.5] },
  });
});

test('an SSD, an SD card or a virtual disk tells no wear: undefined, and no zeros', () => {
  put('devices/pci0/virtio1/block/vda/stat', STAT);
  put('devices/pci0/virtio1/block/vda/device/vendor', '0x1af4\n');
  mkdirSync(join(sys, 'devices/pci0/virtio1/block/vda/slaves'));
  link(`dev/block/${device}`, 'devices/pci0/virtio1/block/vda');
  const found = findBlockDevice(sys, sys);
  expect(found).toMatchObject({ name: 'vda', disk: 'vda' });
  expect(found?.read()).toEqual({
    writtenBytes: 512_000,
    flashHealth: undefined,
    fileSystemWrittenBytes: undefined,
  });
});

test.each([
  ['0x00 0x00', '0x00', undefined],
  ['0x0b 0x01', '0x03', { usedShares: [1.1, 0.1], preEndOfLife: 'urgent' }],
  ['0x01 0x00', '0x00', { usedShares: [0.1], preEndOfLife: undefined }],
])('life_time %s and pre_eol_info %s', (lifeTime, preEol, health) => {
  putCard();
  put(`${CARD}/device/life_time`, `${lifeTime}\n`);
  put(`${CARD}/device/pre_eol_info`, `${preEol}\n`);
  link(`dev/block/${device}`, `${CARD}/mmcblk0p2`);
  expect(findBlockDevice(sys, sys)?.read().flashHealth).toEqual(health);
});

test('a file system without a device of its own, such as tmpfs, has none', () => {
  expect(findBlockDevice('/proc', '/sys')).toBeUndefined();
});

test('a device that goes away is not known any more', () => {
  putCard();
  link(`dev/block/${device}`, `${CARD}/mmcblk0p2`);
  const found = findBlockDevice(sys, sys);
  rmSync(join(sys, 'devices'), { recursive: true });
  expect(found?.read()).toEqual({
    writtenBytes: undefined,
    flashHealth: undefined,
    fileSystemWrittenBytes: 2_048_000,
  });
});
