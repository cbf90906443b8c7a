import { expect, test } from 'bun:test';
import { createKey, findKey, hashKey, listKeys, revokeKey } from '../src/access/keys.ts';
import { eachBackend } from './support/backends.ts';
import { failure } from './support/failure.ts';

eachBackend('API keys', open => {
  test('a key is found by what it is, and only its hash and a hint are kept', async () => {
    const store = await open();
    const { row, key } = await store.write(tx => createKey(tx, ' ci ', 1000));
    expect(key).toMatch(/^inlet_[0-9a-z]{56}$/);
    expect(row).toMatchObject({
      name: 'ci',
      hash: hashKey(key),
      hint: `inlet_…${key.slice(-4)}`,
      createdAt: 1000,
      lastUsedAt: null,
    });
    expect(JSON.stringify(row)).not.toContain(key.slice(6, -4));
    expect(await store.read(tx => findKey(tx, key))).toEqual(row);
    expect(await store.read(tx => findKey(tx, `${key}x`))).toBeNull();
    expect(await store.read(tx => findKey(tx, row.hash))).toBeNull();
  });

  test('the list is newest first, and a revoked key is gone at once', async () => {
    const store = await open();
    await store.write(tx => createKey(tx, 'first', 1000));
    const { row, key } = await store.write(tx => createKey(tx, 'second', 2000));
    expect((await store.read(listKeys)).map(k => k.name)).toEqual(['second', 'first']);
    await store.write(tx => revokeKey(tx, row.id));
    expect(await store.read(tx => findKey(tx, key))).toBeNull();
    expect(await failure(store.write(tx => revokeKey(tx, row.id)))).toMatchObject({ code: 'notFound' });
  });

  test('there are at most 100, and the refusal says what to do', async () => {
    const store = await open();
    const made = await store.write(async tx => {
      for (let n = 0; n < 99; n++) await createKey(tx, `key ${n}`, n);
      return createKey(tx, 'the last', 100);
    });
    expect(await failure(store.write(tx => createKey(tx, 'one too many', 101)))).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('Revoke one'),
    });
    await store.write(tx => revokeKey(tx, made.row.id));
    expect((await store.write(tx => createKey(tx, 'in its place', 102))).row.name).toBe('in its place');
  });

  test.each(['', '  ', 'x'.repeat(101), 'a\x1b[2Jb'])(
    'a name must have 1 to 100 plain characters: "%s"',
    async name => {
      const store = await open();
      expect(await failure(store.write(tx => createKey(tx, name, 1)))).toMatchObject({ code: 'invalid' });
    },
  );
});
