// What happens when the database, or one of the two halves of the state, is damaged or gone.

import {
  copyFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openStore } from '#ctld/discovery/store.io.ts'
import type { Loaded } from '#ctld/ports.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { aDocument, anEvent, anInstance, changes } from '#test/helpers/stored.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const DAMAGES = 100
const instances = Array.from({ length: 200 }, (_, n) =>
  anInstance(`i${String(n).padStart(3, '0')}`),
)

test('a damaged database is kept aside and started anew, or holds all that it held', async () => {
  const folder = await filledFolder()
  const path = `${folder}/records.db`
  copyFileSync(path, `${folder}/good`)
  let damagesFound = 0

  for (let seed = 0; seed < DAMAGES; seed++) {
    copyFileSync(`${folder}/good`, path)
    damage(path, randomOf(seed).random)
    const loaded = await reload(folder)
    expect(loaded.document, `seed ${seed}`).toEqual(aDocument(1))
    if (loaded.notices.length === 0) {
      // Bytes that mean nothing: free space, counters.
      expect(loaded.instances, `seed ${seed}`).toEqual(instances)
      continue
    }
    damagesFound++
    expect(loaded.instances, `seed ${seed}`).toEqual([])
    expect(loaded.notices.join(), `seed ${seed}`).toMatch(
      /records\.db could not be read .* is kept as .*|the records beside .* are missing/,
    )
  }
  expect(damagesFound).toBeGreaterThan(DAMAGES / 2)
  expect(readdirSync(folder).some((name) => name.startsWith('records.db.unreadable-'))).toBe(true)
}, 60_000)

test('a database that was started anew takes commits', async () => {
  const folder = await filledFolder()
  writeFileSync(`${folder}/records.db`, 'this is not a database, though it is long enough')
  const store = await openStore({ folder })
  expect((await store.load()).notices).toHaveLength(1)
  await store.commit(changes({ instances: { put: [anInstance('new')], remove: [] } }))
  await store.close()
  const loaded = await reload(folder)
  expect(loaded.instances).toEqual([anInstance('new')])
  expect(loaded.notices).toEqual([])
})

test('says so when the records are gone while the document is there', async () => {
  const folder = await filledFolder()
  rmSync(`${folder}/records.db`)
  const loaded = await reload(folder)
  expect(loaded.document).toEqual(aDocument(1))
  expect(loaded.instances).toEqual([])
  expect(loaded.notices.join()).toContain('the records beside')
})

test('F20: refuses to start with no document beside records of instances', async () => {
  const folder = await filledFolder()
  rmSync(`${folder}/state.json`)
  await expect(reload(folder)).rejects.toMatchObject({
    code: 'store_failed',
    message: expect.stringMatching(/state\.json is missing.*records of 200 instances/),
  })
})

test('refuses records of another format and names both', async () => {
  const folder = await filledFolder()
  const database = new DatabaseSync(`${folder}/records.db`)
  database.exec('PRAGMA user_version = 2')
  database.close()
  await expect(openStore({ folder })).rejects.toThrow(
    'records.db has format 2; this version of Tucano reads format 1',
  )
})

async function filledFolder() {
  const folder = temporaryFolder()
  const store = await openStore({ folder })
  await store.commit(
    changes({
      document: aDocument(1),
      instances: { put: instances, remove: [] },
      events: [anEvent(1)],
    }),
  )
  await store.close()
  return folder
}

async function reload(folder: string): Promise<Loaded> {
  const store = await openStore({ folder })
  try {
    return await store.load()
  } finally {
    await store.close()
  }
}

/** Cut short, or 64 bytes in a row inverted. The format number is left alone. */
function damage(path: string, random: () => number): void {
  const bytes = readFileSync(path)
  const at = Math.floor(random() * bytes.length)
  if (random() < 0.3) {
    truncateSync(path, at)
    return
  }
  const from = Math.max(at, 100)
  for (let index = from; index < Math.min(from + 64, bytes.length); index++) {
    bytes[index] = ~(bytes[index] ?? 0) & 0xff
  }
  writeFileSync(path, bytes)
}
