// The key on a real disk: who may read it, and what is refused.

import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { KEY_FILE, keyFileIn } from '#ctld/secrets/key-file.io.ts'
import { openSecretsIn } from '#ctld/secrets/open-secrets.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const none: ReadonlySet<number> = new Set()

test('S6: the first start makes a key and a file that their owner alone can read', async () => {
  const folder = temporaryFolder()
  const secrets = await openSecretsIn(folder)
  await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
  for (const name of [KEY_FILE, 'secrets.json', 'secrets.json.bak']) {
    expect((statSync(join(folder, name)).mode & 0o777).toString(8), name).toBe('600')
  }
  expect(readFileSync(join(folder, KEY_FILE), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
  expect(existsSync(join(folder, `${KEY_FILE}.new`))).toBe(false)
})

test('the next start reads it, and never makes another', async () => {
  const folder = temporaryFolder()
  const before = await openSecretsIn(folder)
  await before.set({ name: 'db', value: 'one', referenced: none }, 0)
  const key = readFileSync(join(folder, KEY_FILE), 'utf8')
  const after = await openSecretsIn(folder)
  expect(after.value('db', 1)).toBe('one')
  expect(readFileSync(join(folder, KEY_FILE), 'utf8')).toBe(key)
  await expect(keyFileIn(folder).write(Buffer.alloc(32))).rejects.toThrow(/cannot make the key/)
  expect(readFileSync(join(folder, KEY_FILE), 'utf8')).toBe(key)
})

test.each([0o644, 0o640, 0o604, 0o660])('S6: a key of mode %o is refused', async (mode) => {
  const folder = temporaryFolder()
  await openSecretsIn(folder)
  const path = join(folder, KEY_FILE)
  chmodSync(path, mode)
  const words = `${path} has mode ${mode.toString(8)}: others can read the key; run: chmod 600`
  await expect(openSecretsIn(folder)).rejects.toThrow(words)
})

test.each([
  ['too short', 'ab\n'],
  ['no hex digits', `${'z'.repeat(64)}\n`],
  ['more than a key', `${'a'.repeat(64)}\nb\n`],
])('a key that is %s is refused', async (_, text) => {
  const folder = temporaryFolder()
  await openSecretsIn(folder)
  writeFileSync(join(folder, KEY_FILE), text)
  await expect(openSecretsIn(folder)).rejects.toThrow(/is not a key .*restore it from a backup/)
})
