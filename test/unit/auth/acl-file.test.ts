import { describe, expect, test } from 'vitest';
import { parseAclFile } from '../../../src/auth/acl-file.ts';
import { TopicRights } from '../../../src/auth/topic-rights.ts';

function rightsOf(text: string, username?: string, clientId = 'client'): TopicRights {
  return TopicRights.ofFile(parseAclFile(text, 'acl'), { username, clientId });
}

describe('an ACL file', () => {
  test('gives the rules before the first user to clients without a name, and to no others', () => {
    const text = 'topic read open/#\nuser ann\ntopic ann/#\n';
    expect(rightsOf(text).mayRead('open/a')).toBe(true);
    expect(rightsOf(text).mayPublish('open/a')).toBe(false);
    expect(rightsOf(text, 'ann').mayRead('open/a')).toBe(false);
    expect(rightsOf(text, 'ann').mayPublish('ann/x')).toBe(true);
    expect(rightsOf(text, 'bob').mayRead('ann/x')).toBe(false);
  });

  test('asks denials first, wherever they stand', () => {
    const text = 'user ann\ntopic readwrite a/#\ntopic deny a/secret/#\n';
    expect(rightsOf(text, 'ann').mayRead('a/b')).toBe(true);
    expect(rightsOf(text, 'ann').mayRead('a/secret/b')).toBe(false);
    expect(rightsOf(text, 'ann').mayPublish('a/secret')).toBe(false);
  });

  test('fills names into patterns, which hold beside the rules of the user', () => {
    const text = 'user ann\ntopic read shared\npattern write dev/%c/up\npattern read home/%u/#\n';
    const ann = rightsOf(text, 'ann', 'd1');
    expect(ann.mayRead('shared')).toBe(true);
    expect(ann.mayPublish('dev/d1/up')).toBe(true);
    expect(ann.mayPublish('dev/d2/up')).toBe(false);
    expect(ann.mayRead('home/ann/x')).toBe(true);
    expect(rightsOf(text, undefined, 'd1').mayPublish('dev/d1/up')).toBe(true);
    expect(rightsOf(text, undefined, 'd1').mayRead('home//x')).toBe(false);
  });

  test.each([
    ['a wildcard in the client id', 'ann', '+'],
    ['a wildcard in the user name', '#', 'd1'],
  ])('grants nothing by patterns to a client with %s', (_, username, clientId) => {
    const rights = rightsOf('pattern dev/%c/%u/#', username, clientId);
    expect(rights.mayRead('dev/other/ann/x')).toBe(false);
    expect(rights.mayRead(`dev/${clientId}/${username}/x`)).toBe(false);
    expect(rights.maySubscribe('#')).toBe(false);
  });

  test('lets no client id reach the $ topics through a pattern', () => {
    expect(rightsOf('pattern read %c/#', undefined, '$SYS').mayRead('$SYS/broker/uptime')).toBe(
      false,
    );
    expect(rightsOf('pattern read $SYS/%c', undefined, 'x').mayRead('$SYS/x')).toBe(true);
  });

  test('does not give $SYS with #', () => {
    expect(rightsOf('topic #').mayRead('$SYS/broker/uptime')).toBe(false);
    expect(rightsOf('topic #\ntopic read $SYS/#').mayRead('$SYS/broker/uptime')).toBe(true);
  });

  test('takes filters with spaces where the access is named, and Windows line ends', () => {
    const text = 'topic read   my house/kitchen\r\nuser my name\r\ntopic other\r\n';
    expect(rightsOf(text).mayRead('my house/kitchen')).toBe(true);
    expect(rightsOf(text, 'my name').mayPublish('other')).toBe(true);
  });

  test('gives a name with several sections the rules of all', () => {
    const text = 'user a\ntopic one\nuser b\ntopic two\nuser a\ntopic three\n';
    expect(rightsOf(text, 'a').mayRead('one')).toBe(true);
    expect(rightsOf(text, 'a').mayRead('two')).toBe(false);
    expect(rightsOf(text, 'a').mayRead('three')).toBe(true);
  });

  test('denies everything where it is empty', () => {
    expect(rightsOf('# nothing yet\n').mayRead('a')).toBe(false);
    expect(rightsOf('').maySubscribe('#')).toBe(false);
  });

  test.each([
    ['topic', 'line 1: the topic is missing'],
    ['\n# c\ntopic reed a', 'line 3: "reed" is none of'],
    ['topic read a/#/b', '"a/#/b" is not a topic filter'],
    ['user', 'the user has no name'],
    ['topics a', 'not with "topics"'],
    ['topic my house', '"my" is none of'],
  ])('names the line it cannot read: %j', (text, problem) => {
    expect(() => parseAclFile(text, '/etc/acl')).toThrow(problem);
    expect(() => parseAclFile(text, '/etc/acl')).toThrow('/etc/acl');
  });
});

describe('a subscription', () => {
  const text = 'user u\ntopic read a/#\ntopic deny a/b/#\ntopic write w\ntopic read s/+/t\n';
  test.each([
    ['#', true],
    ['a/#', true],
    ['+', true],
    ['a/+/c', true],
    ['a/b/#', false],
    ['a/b', false],
    ['a/b/+', false],
    ['w', false],
    ['x/#', false],
    ['s/1/t', true],
    ['s/1/t/u', false],
    ['+/+/t', true],
    ['$SYS/#', false],
  ])('to %s is granted where something can come: %s', (filter, granted) => {
    expect(rightsOf(text, 'u').maySubscribe(filter)).toBe(granted);
  });
});
