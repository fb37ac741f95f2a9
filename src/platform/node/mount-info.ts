/** A line of `/proc/self/mountinfo`: proc_pid_mountinfo(5). */
export interface Mount {
  readonly mountPoint: string;
  readonly type: string;
  /** Of this mount, then of the file system behind it. */
  readonly options: readonly string[];
}

/** The mount that `path`, absolute and without links in it, is on. */
export function mountOf(path: string, mountInfo: string): Mount | undefined {
  let best: Mount | undefined;
  for (const line of mountInfo.split('\n')) {
    const mount = parseLine(line);
    if (mount === undefined || !isWithin(path, mount.mountPoint)) continue;
    // Of two on the same place the later one hides the earlier one.
    if (best === undefined || mount.mountPoint.length >= best.mountPoint.length) best = mount;
  }
  return best;
}

// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": a hyphen ends
// the optional fields.
function parseLine(line: string): Mount | undefined {
  const fields = line.split(' ');
  const hyphen = fields.indexOf('-', 6);
  const [mountPoint, own] = [fields[4], fields[5]];
  const [type, , behind] = fields.slice(hyphen + 1);
  if (hyphen < 0 || mountPoint === undefined || own === undefined || type === undefined) {
    return undefined;
  }
  const options = [...own.split(','), ...(behind ?? '').split(',')];
  return { mountPoint: unescape(mountPoint), type, options };
}

/** Space, tab, newline and backslash are three octal digits behind a backslash. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function isWithin(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}
