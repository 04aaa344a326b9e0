// What is left after a crash: of the fake at each step of its disk, of the real store after
// kill -9 of a writing process, and on a disk without space.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { openStore } from '#ctld/discovery/store.io.ts'
import type { Loaded, Store } from '#ctld/ports.ts'
import { createFakeStorage } from '#test/fakes/store.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { anEvent, changes, nthCommit } from '#test/helpers/stored.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const clock = { wall: () => 1_000 }
const KILLS = 50
const SEEDS = 300

describe('a crash', () => {
  test.each(['kill', 'crash'] as const)(
    `(%s) at any step of the disk leaves every acknowledged commit and no half of another`,
    async (how) => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const { random } = randomOf(seed)
        const died = Promise.withResolvers<void>()
        let stepsLeft = 1 + Math.floor(random() * 60)
        const storage = createFakeStorage({
          clock,
          pause: async () => {
            if (--stepsLeft !== 0) return
            if (how === 'kill') storage.kill()
            else storage.crash(random)
            died.resolve()
          },
        })
        const acked = { last: 0 }
        await Promise.race([writeForever(storage.open(), acked), died.promise])
        expectWhole(await storage.open().load(), acked.last, `seed ${seed}`)
      }
    },
  )

  test(`F02: kill -9 of a writer at ${KILLS} random points loses no acknowledged commit`, async () => {
    const folder = temporaryFolder()
    const seed = Number(process.env.SEED ?? Date.now())
    const { random } = randomOf(seed)
    const acked = new Set<number>()

    for (let round = 0; round < KILLS; round++) {
      const writer = startFixture('store-writer.ts', folder)
      const stopAfter = 1 + Math.floor(random() * 25)
      let lines = 0
      for await (const line of createInterface({ input: writer.stdout })) {
        acked.add(Number(line))
        if (++lines === stopAfter) writer.kill('SIGKILL')
      }
      await writer.ended
      expect(lines, 'commits of this round').toBeGreaterThanOrEqual(stopAfter)

      await using store = await opened(folder)
      expectWhole(await store.load(), Math.max(...acked), `SEED=${seed}, round ${round}`)
      const known = new Set((await store.events(0, 10_000)).map(({ cursor }) => cursor))
      expect([...acked].filter((cursor) => !known.has(cursor))).toEqual([])
    }
  }, 240_000)
})

describe('F18: a full disk', () => {
  test('refuses commits with clear words, keeps what there is, and works again with space', async () => {
    const storage = createFakeStorage({ clock })
    const store = storage.open()
    await store.commit(nthCommit(1))
    storage.setFull(true)
    for (const refused of [nthCommit(2), changes({ events: [anEvent(2)] })]) {
      await expect(store.commit(refused)).rejects.toMatchObject({
        code: 'store_failed',
        message: 'no space left on /data: free some space; writes are refused until then',
      })
    }
    expect((await storage.open().load()).document?.epoch).toBe(1)
    expect(await store.events(0, 10)).toHaveLength(1)

    storage.setFull(false)
    await store.commit(nthCommit(3))
    expectWhole(await storage.open().load(), 3, 'with space again')
  })

  test.runIf(canMount())(
    'does so on a real one',
    async () => {
      const folder = temporaryFolder()
      const script = 'mount -t tmpfs -o size=512k none "$1" && exec "$2" "$3" "$1"'
      const fixture = `${import.meta.dirname}/../fixtures/store-on-full-disk.ts`
      const run = spawnSync(
        'unshare',
        ['-m', 'sh', '-c', script, 'sh', folder, process.execPath, fixture],
        { encoding: 'utf8', timeout: 60_000 },
      )
      expect(run.stderr).toBe('')
      const words = `no space left on ${folder}: free some space; writes are refused until then`
      expect(JSON.parse(run.stdout)).toEqual({
        documentCommit: `store_failed: ${words}`,
        recordsCommit: `store_failed: ${words}`,
        epochWhenFull: 1,
        eventsWhenFull: 1,
        epochWithSpace: 3,
        eventsWithSpace: 2,
        notices: [],
        integrity: 'ok',
      })
    },
    60_000,
  )
})

async function writeForever(store: Store, acked: { last: number }): Promise<void> {
  for (let n = 1; ; n++) {
    await store.commit(nthCommit(n))
    acked.last = n
  }
}

/** All of commit `acked`, or of the next one as far as it got: document first, records whole. */
function expectWhole(loaded: Loaded, acked: number, hint: string): void {
  const epoch = loaded.document?.epoch ?? 0
  const cursor = loaded.lastEventCursor
  expect([acked, acked + 1], hint).toContain(epoch)
  expect([acked, acked + 1], hint).toContain(cursor)
  expect(cursor, hint).toBeLessThanOrEqual(epoch)
  expect(loaded.notices, hint).toEqual([])
  if (cursor === 0) return
  expect(loaded.deployments[0]?.revision, hint).toBe(cursor)
  expect(loaded.instances.find(({ id }) => id === `i${cursor % 20}`)?.revision, hint).toBe(cursor)
}

async function opened(folder: string): Promise<Store & AsyncDisposable> {
  const store = await openStore({ folder })
  return { ...store, [Symbol.asyncDispose]: () => store.close() }
}

function startFixture(name: string, folder: string) {
  const path = `${import.meta.dirname}/../fixtures/${name}`
  const child = spawn(process.execPath, [path, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  return Object.assign(child, { ended: once(child, 'exit') }) satisfies ChildProcess
}

function canMount(): boolean {
  return spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
}
