// Where values lie on a worker: in its memory, for their owner alone, and not for long.

import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { giveSecrets, giveVolumes, takeSecrets } from '#agentd/runner/given-files.io.ts'
import { findMemoryFolder, openVault } from '#agentd/secrets/memory-folder.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const values = [{ name: 'db', version: 3, value: 'one\n' }]
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

/** A tag of this test alone, so that it can clear what it made in the machine's memory. */
async function inMemory() {
  const dataFolder = temporaryFolder()
  const tag = `test-${process.pid}-${dataFolder.split('/').at(-1)}`
  const found = await findMemoryFolder({ dataFolder, tag })
  onTestFinished(() => rm(found.path, { recursive: true, force: true }))
  return { dataFolder, tag, found }
}

test('S6: values lie in shared memory, readable by the agent alone, while there are any', async () => {
  const { found } = await inMemory()
  expect(found).toEqual({ path: expect.stringMatching(/^\/dev\/shm\/tucano-/), isMemory: true })
  expect(existsSync(found.path)).toBe(false)
  const vault = openVault(found)
  expect(await vault.load()).toEqual([])
  await vault.save(values)
  expect(await openVault(found).load()).toEqual(values)
  expect(modeOf(join(found.path, 'values.json'))).toBe('400')
  expect(modeOf(found.path)).toBe('711')
  await vault.save([{ name: 'db', version: 4, value: 'two' }])
  expect(await vault.load()).toEqual([{ name: 'db', version: 4, value: 'two' }])
  expect(readdirSync(found.path)).toEqual(['values.json'])
  await vault.save([])
  expect(existsSync(found.path)).toBe(false)
})

test('what is damaged is as good as lost', async () => {
  const { found } = await inMemory()
  const vault = openVault(found)
  await vault.save(values)
  for (const text of ['', '[{"name":"db"}]', '{"a":', '[{"name":"db","version":1,"value":7}]']) {
    await rm(join(found.path, 'values.json'))
    writeFileSync(join(found.path, 'values.json'), text)
    expect(await vault.load()).toEqual([])
  }
})

test('without shared memory no value is written to a disk', async () => {
  const dataFolder = temporaryFolder()
  const found = await findMemoryFolder({ dataFolder, tag: 't', sharedMemory: temporaryFolder() })
  expect(found).toEqual({ path: join(dataFolder, 'secrets'), isMemory: false })
  const vault = openVault(found)
  await vault.save(values)
  expect(existsSync(found.path)).toBe(false)
  expect(await vault.load()).toEqual([])
})

test('a folder that is not ours is not taken', async () => {
  const { dataFolder, tag, found } = await inMemory()
  symlinkSync(temporaryFolder(), found.path)
  expect((await findMemoryFolder({ dataFolder, tag })).isMemory).toBe(false)
  // Put there after the agent looked: what it would write is refused.
  await expect(openVault(found).save(values)).rejects.toThrow(/belongs to another user/)
  const given = giveSecrets(join(found.path, 'i-1'), [{ name: 'a', text: 'b' }])
  await expect(given).rejects.toThrow(/belongs to another user/)
})

test('S6: the files of an instance are its own, and go with it', async () => {
  const { found } = await inMemory()
  const folder = join(found.path, 'i-1')
  const files = [
    { name: 'tls.key', text: 'KEY\n' },
    { name: 'db', text: 'one' },
  ]
  expect(await giveSecrets(folder, files)).toEqual({ TUCANO_SECRETS: folder })
  expect(modeOf(folder)).toBe('700')
  expect(readdirSync(folder).map((name) => modeOf(join(folder, name)))).toEqual(['400', '400'])
  // At a restart with less there is no more than that.
  await giveSecrets(folder, [{ name: 'db', text: 'two' }])
  expect(readdirSync(folder)).toEqual(['db'])
  expect(await giveSecrets(folder, [])).toEqual({})
  expect(existsSync(found.path)).toBe(false)
  await takeSecrets(folder)
})

test('files belong to the user that the program runs as', async () => {
  if (process.getuid?.() !== 0) return
  const { found, dataFolder } = await inMemory()
  const owner = { uid: 65_534, gid: 65_534 }
  const folder = join(found.path, 'i-1')
  await giveSecrets(folder, [{ name: 'db', text: 'one' }], owner)
  const volumes = { service: 'api', names: ['data'] }
  const given = await giveVolumes(join(dataFolder, 'volumes'), volumes, owner)
  const owned = [folder, join(folder, 'db'), given.TUCANO_VOLUME_DATA ?? '']
  expect(owned.map((path) => statSync(path).uid)).toEqual([65_534, 65_534, 65_534])
  expect(modeOf(join(dataFolder, 'volumes'))).toBe('711')
})

test('a volume is made once for its service, and what is in it stays', async () => {
  const root = join(temporaryFolder(), 'volumes')
  const volumes = { service: 'api', names: ['data', 'my-logs'] }
  const given = await giveVolumes(root, volumes)
  expect(given).toEqual({
    TUCANO_VOLUME_DATA: join(root, 'api/data'),
    TUCANO_VOLUME_MY_LOGS: join(root, 'api/my-logs'),
  })
  writeFileSync(join(root, 'api/data/file'), 'kept')
  expect(await giveVolumes(root, volumes)).toEqual(given)
  expect(readdirSync(join(root, 'api/data'))).toEqual(['file'])
  expect(modeOf(join(root, 'api/data'))).toBe('700')
  expect(await giveVolumes(root, { service: 'other', names: [] })).toEqual({})
  expect(existsSync(join(root, 'other'))).toBe(false)
})

test('a volume is never made through a link that leads elsewhere', async () => {
  const root = join(temporaryFolder(), 'volumes')
  const elsewhere = temporaryFolder()
  mkdirSync(root)
  symlinkSync(elsewhere, join(root, 'api'))
  const given = giveVolumes(root, { service: 'api', names: ['data'] })
  await expect(given).rejects.toThrow(/belongs to another user/)
  expect(readdirSync(elsewhere)).toEqual([])
})
