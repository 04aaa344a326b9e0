import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { BUILD_MARK, runBuild } from '#agentd/images/build.io.ts'
import { capOutput } from '#agentd/images/capped-output.ts'
import { type FetchOptions, fetchImage } from '#agentd/images/fetch.io.ts'
import { hostEnvironment } from '#agentd/images/image-edges.io.ts'
import { markedProcesses } from '#agentd/images/marked-processes.io.ts'
import { unpackImage } from '#agentd/images/unpack.io.ts'
import { noUsers } from '#agentd/isolation/users.io.ts'
import { hostileArchives, writeHostile } from '#test/helpers/hostile-archives.ts'
import { digestOf, imageController } from '#test/helpers/image-controller.ts'
import { file, folder, link, writeTarGz } from '#test/helpers/tar-writer.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

vi.setConfig({ testTimeout: 30_000 }) // Real processes, on machines that may be busy.

const never = new AbortController().signal

describe('unpacking', () => {
  test.each(hostileArchives)('refuses $name and writes nothing', async (hostile) => {
    const at = temporaryFolder()
    const path = await writeHostile(hostile, at)
    await expect(unpackImage(path, join(at, 'in/target'))).rejects.toMatchObject({
      code: 'image_unsafe',
      message: expect.stringMatching(hostile.says),
    })
    expect(readdirSync(at)).toEqual(['hostile.tar.gz'])
  })

  test('gives files, folders and links, without setuid bits', async () => {
    const at = temporaryFolder()
    const path = writeTarGz(
      join(at, 'good.tar.gz'),
      folder('./'),
      link('a-first', 'lib/x.so'),
      file('lib/x.so.1', 'library'),
      link('lib/x.so', 'x.so.1'),
      file('bin/su', '#!/bin/sh\n', 0o6755),
      { ...folder('empty'), mode: 0o1777 },
    )
    const target = join(at, 'target')
    await unpackImage(path, target)
    expect(readFileSync(join(target, 'a-first'), 'utf8')).toBe('library')
    expect(statSync(join(target, 'bin/su')).mode & 0o7777).toBe(0o755)
    expect(statSync(join(target, 'empty')).mode & 0o7000).toBe(0)
  })

  test('never goes into a folder that is there', async () => {
    const at = temporaryFolder()
    const path = writeTarGz(join(at, 'good.tar.gz'), file('a', 'new'))
    mkdirSync(join(at, 'target'))
    writeFileSync(join(at, 'target/a'), 'old')
    await expect(unpackImage(path, join(at, 'target'))).rejects.toThrow('EEXIST')
    expect(readFileSync(join(at, 'target/a'), 'utf8')).toBe('old')
  })
})

describe('fetching', () => {
  const bytes = Buffer.from('image')
  async function fetchFrom(answer: RequestListener, options: Partial<FetchOptions> = {}) {
    const controller = await imageController(answer)
    const path = join(temporaryFolder(), 'image')
    await fetchImage(
      { controller, token: () => 't', ...options },
      { digest: digestOf(bytes), file: path, signal: never },
    )
    return readFileSync(path)
  }

  test('gives the bytes of the digest', async () => {
    expect(await fetchFrom((_, response) => response.end(bytes))).toEqual(bytes)
  })

  test('refuses other bytes than those of the digest', async () => {
    await expect(fetchFrom((_, response) => response.end('imagE'))).rejects.toMatchObject({
      code: 'image_unsafe',
      message: expect.stringContaining(digestOf(bytes)),
    })
  })

  test('gives up when nothing comes, or not enough in time, or too much', async () => {
    const hangs: RequestListener = (_, response) => void response.write('i')
    const late = fetchFrom(hangs, { progressMs: 100 })
    await expect(late).rejects.toMatchObject({ code: 'timeout', message: /no byte/ })
    const total = fetchFrom(hangs, { totalMs: 100 })
    await expect(total).rejects.toMatchObject({ code: 'timeout', message: /did not arrive/ })
    const large = fetchFrom((_, response) => response.end(bytes), { bytesMax: 4 })
    await expect(large).rejects.toMatchObject({ code: 'too_large' })
  })

  test('says what the controller answered', async () => {
    const answer = (status: number) => fetchFrom((_, response) => response.writeHead(status).end())
    await expect(answer(404)).rejects.toMatchObject({ code: 'not_found' })
    await expect(answer(500)).rejects.toMatchObject({ code: 'unavailable', message: /500/ })
    const broken = fetchFrom((request) => request.socket.destroy())
    await expect(broken).rejects.toMatchObject({ code: 'unavailable' })
    const redirect = fetchFrom((_, response) =>
      response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    )
    await expect(redirect).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('a build', () => {
  const job = (commands: string[][], timeoutMs = 60_000) => {
    const at = temporaryFolder()
    mkdirSync(join(at, 'files'))
    const mark = randomUUID()
    const folder = join(at, 'files')
    return { commands, folder, timeoutMs, logFile: join(at, 'log'), mark }
  }
  const bare = {
    environment: hostEnvironment(),
    group: { entries: [], empty: async () => {} },
    users: noUsers('a test'),
  }

  test('that ignores TERM and leaves a daemon behind is killed at its deadline', async () => {
    const hostile = job(
      [
        [
          'sh',
          '-c',
          `trap '' TERM; setsid sh -c 'trap "" TERM HUP; echo daemon; while :; do sleep 1; done' &
           echo started; while :; do sleep 1; done`,
        ],
      ],
      500,
    )
    const startedAt = performance.now()
    expect(await runBuild(hostile, never, bare)).toMatchObject({ kind: 'timed_out' })
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(await markedProcesses(BUILD_MARK, hostile.mark)).toEqual([])
    expect(readFileSync(hostile.logFile, 'utf8')).toMatch(/started/)
  })

  test('that succeeds leaves no daemon either', async () => {
    const leaves = job([['sh', '-c', 'setsid sleep 600 & echo done']])
    expect(await runBuild(leaves, never, bare)).toEqual({ kind: 'done' })
    expect(await markedProcesses(BUILD_MARK, leaves.mark)).toEqual([])
  })

  test('kills first what a former agent left of it', async () => {
    const up = Promise.withResolvers<void>()
    const url = await imageController((_, response) => {
      response.end()
      up.resolve()
    })
    const again = job([['true']])
    const script = `fetch('${url}').then(() => setInterval(() => {}, 1_000))`
    const former = { ...job([['node', '-e', script]]), mark: again.mark }
    const old = runBuild(former, never, bare)
    await up.promise
    expect(await runBuild(again, never, bare)).toEqual({ kind: 'done' })
    expect(await old).toMatchObject({ kind: 'failed', signal: 'SIGKILL' })
  })

  test('sees nothing of the environment but the allowed', async () => {
    process.env.TUCANO_TEST_SECRET = 'canary'
    onTestFinished(() => void delete process.env.TUCANO_TEST_SECRET)
    const shows = job([['sh', '-c', 'env; node --version']])
    await runBuild(shows, never, bare)
    const output = readFileSync(shows.logFile, 'utf8')
    expect(output).not.toContain('canary')
    expect(output).toContain(`HOME=${shows.folder}\n`)
    expect(output).toContain(process.version)
  })

  test('stops at the first command that fails', async () => {
    const fails = job([['true'], ['sh', '-c', 'exit 3'], ['touch', 'never']])
    expect(await runBuild(fails, never, bare)).toMatchObject({ kind: 'failed', exitCode: 3 })
    expect(readdirSync(fails.folder)).toEqual([])
  })

  test('that prints 20 MB keeps the beginning and the end of it', async () => {
    const floods = job([['sh', '-c', 'echo first; seq 1 2600000; echo last']])
    expect(await runBuild(floods, never, bare)).toEqual({ kind: 'done' })
    const output = readFileSync(floods.logFile, 'utf8')
    expect(output.length).toBeLessThan(10.1 * 1024 * 1024)
    expect(output).toMatch(/^\$ sh .*\nfirst\n1\n/)
    expect(output).toMatch(/\n\[\.\.\. dropped \d{6,} lines\]\n/)
    expect(output.endsWith('2600000\nlast\n')).toBe(true)
  })
})

test('capped output counts the lines that it drops', () => {
  const output = capOutput(20)
  const written = ['1234567890\n', 'a\nb\nc\n', 'd\ne\nf\ng\n', 'the end\n']
    .map((text) => output.push(Buffer.from(text)))
    .concat(output.end())
    .map((piece) => piece?.toString() ?? '')
  expect(written.join('')).toBe('1234567890\n[... dropped 7 lines]\ng\nthe end\n')
})
