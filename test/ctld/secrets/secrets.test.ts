// The file of the secrets: versions, limits, what an order gets of it, and what no file holds.

import { describe, expect, test } from 'vitest'
import { SECRETS_BYTES_MAX, SECRETS_MAX, valuesFor } from '#ctld/secrets/secrets.ts'
import { spec } from '#test/agentd/agent-world.ts'
import type { FakeDisk } from '#test/fakes/disk.ts'
import { aVault, FILE, KEY, none } from './vault.ts'

describe('a secret', () => {
  test('has a version for each new value, and none for the same one', async () => {
    const { open } = aVault()
    const secrets = await open()
    const set = (value: string) => secrets.set({ name: 'db', value, referenced: none }, 1_000)
    expect(await set('one')).toEqual({ version: 1, isNew: true })
    expect(await set('one')).toEqual({ version: 1, isNew: false })
    expect(await set('two')).toEqual({ version: 2, isNew: true })
    expect(secrets.list()).toEqual([{ name: 'db', versions: [2], updatedAt: 1_000 }])
    expect(secrets.value('db', 2)).toBe('two')
    expect(secrets.value('dc', 2)).toBeUndefined()
  })

  test('keeps the former values that somebody still refers to, and no others', async () => {
    const { open } = aVault()
    const secrets = await open()
    for (const [value, referenced] of [
      ['one', none],
      ['two', new Set([1])],
      ['three', new Set([1])],
    ] as const) {
      await secrets.set({ name: 'db', value, referenced }, 0)
    }
    const known = [1, 2, 3, 4].map((version) => secrets.value('db', version))
    // The second was the newest when nobody referred to it, and went with the third.
    expect(known).toEqual(['one', undefined, 'three', undefined])
  })

  test('that was removed and is set anew takes no number that somebody refers to', async () => {
    const { open } = aVault()
    const secrets = await open()
    await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
    await secrets.remove('db')
    expect(secrets.list()).toEqual([])
    const again = await secrets.set({ name: 'db', value: 'other', referenced: new Set([1]) }, 0)
    expect(again.version).toBe(2)
    expect(secrets.value('db', 1)).toBeUndefined()
  })

  test('is there after a restart, with its name and every version', async () => {
    const { open, disk } = aVault()
    const before = await open()
    await before.set({ name: 'b', value: 'B ação\n', referenced: none }, 5)
    await before.set({ name: 'a', value: 'A1', referenced: none }, 6)
    await before.set({ name: 'a', value: 'A2', referenced: new Set([1]) }, 7)
    disk.kill()
    const after = await open()
    expect(after.notices).toEqual([])
    expect(after.list().map(({ name, versions }) => `${name} ${versions}`)).toEqual([
      'a 1,2',
      'b 1',
    ])
    expect(after.value('b', 1)).toBe('B ação\n')
    expect(after.value('a', 1)).toBe('A1')
  })

  test('that is refused leaves everything as it was', async () => {
    const { open, disk } = aVault()
    const secrets = await open()
    await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
    disk.setFull(true)
    const refused = secrets.set({ name: 'db', value: 'two', referenced: none }, 0)
    await expect(refused).rejects.toMatchObject({ code: 'store_failed' })
    expect(secrets.value('db', 1)).toBe('one')
    expect(secrets.value('db', 2)).toBeUndefined()
    disk.setFull(false)
    expect(await secrets.set({ name: 'db', value: 'two', referenced: none }, 0)).toEqual({
      version: 2,
      isNew: true,
    })
  })
})

test('S6: no file holds a value, nor what it was before, nor the key beside it', async () => {
  const { open, disk } = aVault()
  const secrets = await open()
  await secrets.set({ name: 'db', value: 'canary-one', referenced: none }, 0)
  await secrets.set({ name: 'db', value: 'canary-two', referenced: new Set([1]) }, 0)
  const sealed = textsOf(disk)
  for (const text of ['canary', ...encodings('canary-one'), ...encodings('canary-two')]) {
    expect(sealed).not.toContain(text)
  }
  const key = Buffer.from(disk.peek(KEY) ?? []).toString()
  expect(key).toMatch(/^[0-9a-f]{64}$/)
  for (const path of disk.paths().filter((one) => one !== KEY)) {
    expect(Buffer.from(disk.peek(path) ?? []).toString()).not.toContain(key)
  }
})

test('a removed value is gone from the backup too', async () => {
  const { open, disk } = aVault()
  const secrets = await open()
  await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
  expect(textsOf(disk)).toContain('"db"')
  await secrets.remove('db')
  expect(textsOf(disk)).not.toContain('"db"')
})

test('no two values share a nonce', async () => {
  const { open, disk } = aVault()
  const secrets = await open()
  for (const name of ['a', 'b', 'c']) {
    await secrets.set({ name, value: 'same', referenced: none }, 0)
  }
  const texts = Buffer.from(disk.peek(FILE) ?? []).toString()
  const nonces = [...texts.matchAll(/"nonce":"([^"]+)"/g)].map(([, nonce]) => nonce)
  expect(new Set(nonces).size).toBe(3)
})

describe('the limits', () => {
  test('of their number', async () => {
    const { open } = aVault()
    const secrets = await open()
    for (let index = 0; index < SECRETS_MAX; index += 1) {
      await secrets.set({ name: `s${index}`, value: 'v', referenced: none }, 0)
    }
    const refused = secrets.set({ name: 'one-more', value: 'v', referenced: none }, 0)
    await expect(refused).rejects.toMatchObject({ code: 'limit_reached' })
    expect(secrets.list()).toHaveLength(SECRETS_MAX)
  })

  test('of their bytes, with the former values that are kept', async () => {
    const { open } = aVault()
    const secrets = await open()
    const big = 'x'.repeat(64 * 1024)
    const count = SECRETS_BYTES_MAX / big.length
    const referenced = new Set(Array.from({ length: count }, (_, index) => index + 1))
    const set = (value: string) => secrets.set({ name: 'db', value, referenced }, 0)
    // The numbers that are referred to are not given anew.
    expect((await set(`0${big.slice(1)}`)).version).toBe(count + 1)
    for (let index = 1; index < count; index += 1) {
      const name = `s${index}`
      await secrets.set({ name, value: `${index}${big.slice(4)}`, referenced: none }, 0)
    }
    const refused = secrets.set({ name: 'z', value: big, referenced: none }, 0)
    await expect(refused).rejects.toMatchObject({ code: 'limit_reached' })
  })
})

test('S6: an order has the values of what it lets run, each once, and no others', async () => {
  const { open } = aVault()
  const secrets = await open()
  for (const name of ['a', 'b', 'c']) {
    await secrets.set({ name, value: `value of ${name}`, referenced: none }, 0)
  }
  const use = (name: string, version = 1) => ({ name, version, variable: name.toUpperCase() })
  const given = valuesFor(secrets, [
    spec('i-1', { secrets: [use('a'), use('b')] }),
    spec('i-2', { secrets: [use('a')] }),
    spec('i-3', { secrets: [use('c')], want: 'stop' }),
    spec('i-4', { secrets: [use('b', 2), use('gone')] }),
    spec('i-5'),
  ])
  expect(given).toEqual([
    { name: 'a', version: 1, value: 'value of a' },
    { name: 'b', version: 1, value: 'value of b' },
  ])
})

function textsOf(disk: FakeDisk): string {
  const sealed = disk.paths().filter((path) => path !== KEY)
  return sealed.map((path) => Buffer.from(disk.peek(path) ?? []).toString()).join('\n')
}

const encodings = (text: string) =>
  (['base64', 'hex'] as const).map((way) => Buffer.from(text).toString(way).replace(/=+$/, ''))
