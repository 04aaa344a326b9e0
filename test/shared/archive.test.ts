import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { list } from 'tar'
import { describe, expect, test, vi } from 'vitest'
import { nothingSeen, vetArchive, vetEntry, vetInflation } from '#shared/archive.ts'
import { vetArchiveFile } from '#shared/archive-file.io.ts'
import { digestOfFile, packFolder, takeArchive } from '#shared/pack.io.ts'
import { hostileArchives, writeHostile } from '#test/helpers/hostile-archives.ts'
import { file, folder, link, writeTarGz } from '#test/helpers/tar-writer.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

vi.setConfig({ testTimeout: 30_000 }) // Inflates bombs, on machines that may be busy.

describe('an archive', () => {
  test.each(hostileArchives)('with $name is refused with the reason', async (hostile) => {
    const path = await writeHostile(hostile, temporaryFolder())
    await expect(vetArchiveFile(path)).rejects.toMatchObject({
      code: 'image_unsafe',
      message: expect.stringMatching(hostile.says),
    })
  })

  test('with files, folders and links inside is taken', async () => {
    const path = writeTarGz(
      join(temporaryFolder(), 'good.tar.gz'),
      folder('./'),
      folder('./bin/'),
      folder('bin'),
      file('bin/tool', '#!/bin/sh\n', 0o4755),
      link('node_modules/.bin/tool', '../../bin/tool'),
      link('libx.so', 'libx.so.1'),
      link('libx.so.1', 'libx.so.1.2'),
      file('libx.so.1.2'),
      file('é.txt'),
    )
    expect(await vetArchiveFile(path)).toEqual({ entries: 9, bytes: 12 })
  })

  test('that is tiny may pack better than 1 : 200', () => {
    expect(() => vetInflation(10, 1_000_000)).not.toThrow()
    expect(() => vetInflation(1_000, 20_000_000)).toThrow(/200 times/)
  })
})

test('setuid, setgid and sticky bits are stripped', () => {
  const vetted = vetEntry({ path: 'su', type: 'File', size: 1, mode: 0o7755 }, nothingSeen())
  expect(vetted).toEqual({ path: 'su', kind: 'file', mode: 0o755 })
})

test('a folder may be there twice, 20,000 entries are allowed', () => {
  const entries = Array.from({ length: 19_998 }, (_, n) => ({
    path: `f${n}`,
    type: 'File',
    size: 1,
  }))
  const twice = { path: 'd/', type: 'Directory', size: 0 }
  expect(vetArchive([twice, twice, ...entries])).toEqual({ entries: 20_000, bytes: 19_998 })
})

test('folders that are only implied count as names', () => {
  const deep = (entry: number) =>
    Array.from({ length: 200 }, (_, level) => `${entry}-${level}`).join('/')
  const entries = Array.from({ length: 101 }, (_, entry) => ({
    path: deep(entry),
    type: 'File',
    size: 1,
  }))
  expect(() => vetArchive(entries)).toThrow(/beyond 20000 names/)
})

describe('packing a folder', () => {
  function sample(): string {
    const at = temporaryFolder()
    mkdirSync(join(at, 'src'))
    mkdirSync(join(at, '.git'))
    mkdirSync(join(at, 'node_modules'))
    writeFileSync(join(at, '.git/HEAD'), 'ref')
    writeFileSync(join(at, 'node_modules/dep.js'), '1')
    writeFileSync(join(at, 'server.ts'), 'serve()')
    writeFileSync(join(at, 'src/a.ts'), 'a')
    writeFileSync(join(at, 'src/b.log'), 'b')
    symlinkSync('src/a.ts', join(at, 'entry'))
    return at
  }

  async function packed(at: string) {
    const image = await packFolder(at)
    const names: string[] = []
    await list({ file: image.file, onReadEntry: (entry) => names.push(entry.path) })
    const bytes = readFileSync(image.file)
    const checked = await digestOfFile(image.file)
    await image.dispose()
    expect(checked).toEqual({ digest: image.digest, bytes: bytes.length })
    return { names, digest: image.digest, entries: image.entries }
  }

  test('takes all but .git, sorted', async () => {
    const { names, entries } = await packed(sample())
    expect(names.map((name) => name.replace('./', ''))).toEqual([
      'entry',
      'node_modules/',
      'node_modules/dep.js',
      'server.ts',
      'src/',
      'src/a.ts',
      'src/b.log',
    ])
    expect(entries).toBe(7)
  })

  test('leaves out what .tucanoignore names', async () => {
    const at = sample()
    writeFileSync(join(at, '.tucanoignore'), 'node_modules\n*.log\n!src/b.log\nentry\n')
    const { names } = await packed(at)
    expect(names).not.toContain('./node_modules/')
    expect(names).not.toContain('./entry')
    expect(names).toContain('./src/b.log')
  })

  test('gives one digest for one content, whatever the times and the place', async () => {
    const [one, two] = [sample(), sample()]
    utimesSync(join(two, 'server.ts'), 1, 1)
    expect((await packed(one)).digest).toBe((await packed(two)).digest)
    writeFileSync(join(two, 'server.ts'), 'serve(2)')
    expect((await packed(one)).digest).not.toBe((await packed(two)).digest)
  })

  test('keeps what is executable so, and packs hard-linked files as files', async () => {
    const at = sample()
    chmodSync(join(at, 'server.ts'), 0o755)
    linkSync(join(at, 'server.ts'), join(at, 'twin.ts'))
    const image = await packFolder(at)
    const modes: Record<string, string> = {}
    await list({
      file: image.file,
      onReadEntry: ({ path, type, mode }) => {
        modes[path] = `${type} ${mode?.toString(8)}`
      },
    })
    await image.dispose()
    expect(modes['./server.ts']).toBe('File 755')
    expect(modes['./twin.ts']).toBe('File 755')
  })

  test('refuses a link out of the folder before anything is sent', async () => {
    const at = sample()
    symlinkSync('/etc/passwd', join(at, 'src/passwd'))
    await expect(packFolder(at)).rejects.toMatchObject({
      code: 'image_unsafe',
      message: expect.stringContaining('"src/passwd"'),
    })
  })

  test('says when there is nothing to pack', async () => {
    await expect(packFolder(temporaryFolder())).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(packFolder('/no/such/folder')).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

test('an archive that is there already is taken as it is', async () => {
  const path = writeTarGz(join(temporaryFolder(), 'mine.tar.gz'), file('server.ts'))
  const image = await takeArchive(path)
  await image.dispose()
  expect(image).toMatchObject({ file: path, entries: 1, ...(await digestOfFile(path)) })
})
