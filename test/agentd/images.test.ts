import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BUILD_MARK, runBuild } from '#agentd/images/build.io.ts'
import { capOutput } from '#agentd/images/capped-output.ts'
import { type FetchOptions, fetchImage } from '#agentd/images/fetch.io.ts'
import { hostEnvironment, openImageEdges } from '#agentd/images/image-edges.io.ts'
import type { ImagesPorts } from '#agentd/images/image-ports.ts'
import { buildKey, createImages } from '#agentd/images/images.ts'
import { markedProcesses } from '#agentd/images/marked-processes.io.ts'
import { expiredBuilds } from '#agentd/images/retention.ts'
import { unpackImage } from '#agentd/images/unpack.io.ts'
import { PrepareError } from '#agentd/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { Log } from '#shared/ports.ts'
import { hostileArchives, writeHostile } from '#test/helpers/hostile-archives.ts'
import { file, folder, link, type TarEntry, tar, writeTarGz } from '#test/helpers/tar-writer.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const silent = () => undefined
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }
const never = new AbortController().signal
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A controller that has images, in memory. */
async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An agent's images with real edges; `requests` are the paths asked of the controller. */
async function newAgent(overrides: Partial<ImagesPorts> = {}, at = temporaryFolder()) {
  const images = new Map<string, Buffer>()
  const requests: string[] = []
  const controller = await listen((request, response) => {
    requests.push(`${request.headers.authorization} ${request.url}`)
    const bytes = images.get((request.url ?? '').replace('/v1/images/', ''))
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes)
  })
  const edges = await openImageEdges({ controller, token: () => 'secret', folder: at })
  const ports = { clock: machineClock, log, ...edges, ...overrides }
  const noun = createImages(ports)
  onTestFinished(() => noun[Symbol.asyncDispose]())
  const image = (build: string[][], ...entries: TarEntry[]) => {
    const bytes = gzipSync(tar(...entries, file('nonce', randomUUID())))
    images.set(digestOf(bytes), bytes)
    return { digest: digestOf(bytes), build, build_timeout_ms: 60_000, run: ['true'] }
  }
  return { at, noun, ports, image, requests }
}

const builds = (at: string) => readdirSync(join(at, 'builds'))

async function failureOf(work: Promise<unknown>): Promise<PrepareError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof PrepareError)) throw new Error(`not a PrepareError: ${error}`)
  return error
}

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
    const controller = await listen(answer)
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

describe('preparing an image', () => {
  test('fetches with the token, unpacks, builds, and does it once', async () => {
    const { noun, image, requests } = await newAgent()
    const wanted = image([['sh', '-c', 'cp in out; echo built']], file('in', 'content'))
    const phases: string[] = []
    const { folder } = await noun.prepare(wanted, (phase) => phases.push(phase))
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe('content')
    expect(phases).toEqual(['fetching', 'building'])
    expect(await noun.prepare(wanted, () => phases.push('again'))).toEqual({ folder })
    expect(phases).not.toContain('again')
    expect(requests).toEqual([`Bearer secret /v1/images/${wanted.digest}`])
    expect(await noun.buildLog(wanted.digest)).toContain('built')
  })

  test('is one piece of work for all that ask at the same time', async () => {
    const { noun, image, requests } = await newAgent()
    const wanted = image([['sh', '-c', 'echo x >> built']])
    const folders = await Promise.all(
      Array.from({ length: 10 }, () => noun.prepare(wanted, silent)),
    )
    expect(new Set(folders.map(({ folder }) => folder)).size).toBe(1)
    expect(readFileSync(join(folders[0]?.folder ?? '', 'built'), 'utf8')).toBe('x\n')
    expect(requests).toHaveLength(1)
  })

  test('with other commands is another build of the same files', async () => {
    const { noun, image } = await newAgent()
    const one = image([['touch', 'one']])
    const two = { ...one, build: [['touch', 'two']] }
    const [first, second] = [await noun.prepare(one, silent), await noun.prepare(two, silent)]
    expect(existsSync(join(first.folder, 'two'))).toBe(false)
    expect(existsSync(join(second.folder, 'two'))).toBe(true)
  })

  test('a failed build tells exit code and last lines, and is tried again next time', async () => {
    const { noun, image, at } = await newAgent()
    const gate = join(temporaryFolder(), 'gate')
    const wanted = image([
      ['sh', '-c', `seq 1 30; echo 'no such module' >&2; test -e ${gate} || exit 7`],
    ])
    const { detail } = await failureOf(noun.prepare(wanted, silent))
    expect(detail).toMatchObject({ exit_code: 7, error: expect.stringContaining('exit code 7') })
    expect(detail.log_tail).toHaveLength(20)
    expect(detail.log_tail).toContain('no such module')
    expect(builds(at)).toEqual([])
    expect(await noun.buildLog(wanted.digest)).toContain('no such module')

    writeFileSync(gate, '')
    await noun.prepare(wanted, silent)
    expect(builds(at)).toEqual([buildKey(wanted)])
  })

  test('says which command cannot be started', async () => {
    const { noun, image } = await newAgent()
    const { detail } = await failureOf(noun.prepare(image([['no-such-tool', 'x']]), silent))
    expect(detail.error).toMatch(/no-such-tool.*ENOENT/)
  })

  test('says when the controller has no such image, or it is unsafe', async () => {
    const { noun, image, at } = await newAgent()
    const absent = { ...image([]), digest: `sha256:${'0'.repeat(64)}` }
    expect((await failureOf(noun.prepare(absent, silent))).message).toMatch(/does not have/)
    const unsafe = image([], link('l', '/etc/passwd'))
    expect((await failureOf(noun.prepare(unsafe, silent))).message).toMatch(/"l".*\/etc\/passwd/)
    expect([builds(at), readdirSync(join(at, 'work'))]).toEqual([[], []])
  })

  test('is refused on a full disk before anything is fetched', async () => {
    const first = await newAgent()
    const shelf = { ...first.ports.shelf, diskUsed: async () => 0.93 }
    const { noun, image, requests } = await newAgent({ shelf })
    const { message } = await failureOf(noun.prepare(image([]), silent))
    expect(message).toMatch(/disk is 93 % full/)
    expect(requests).toEqual([])
  })

  test('builds again what a killed agent left without its marker', async () => {
    const counter = join(temporaryFolder(), 'count')
    const killed = await newAgent()
    const at = killed.at
    // The agent dies between the build and the marker: neither `finish` nor `remove` happens.
    const built = Promise.withResolvers<void>()
    const finish = () => {
      built.resolve()
      return new Promise<never>(silent)
    }
    const first = createImages({ ...killed.ports, shelf: { ...killed.ports.shelf, finish } })
    const wanted = killed.image([['sh', '-c', `echo x >> ${counter}; echo x >> once`]])
    void first.prepare(wanted, silent)
    await built.promise
    expect(builds(at)).toEqual([buildKey(wanted)])

    const { folder } = await killed.noun.prepare(wanted, silent)
    expect(readFileSync(counter, 'utf8')).toBe('x\nx\n')
    expect(readFileSync(join(folder, 'once'), 'utf8')).toBe('x\n')
  })

  test('stops what is under way when the agent stops', async () => {
    const { noun, image, at } = await newAgent()
    const building = Promise.withResolvers<void>()
    const work = failureOf(
      noun.prepare(image([['sleep', '600']]), (phase) => {
        if (phase === 'building') building.resolve()
      }),
    )
    await building.promise
    await noun[Symbol.asyncDispose]()
    await work
    expect(builds(at)).toEqual([])
  })
})

describe('retention', () => {
  test('keeps what is in use and the newest three of the rest', async () => {
    const { noun, image, ports, at } = await newAgent()
    const wanted = Array.from({ length: 6 }, () => image([]))
    for (const each of wanted) await noun.prepare(each, silent)
    let builtAt = 0
    for (const each of wanted) {
      builtAt += 1
      await ports.shelf.finish({ key: buildKey(each), digest: each.digest, builtAt })
    }
    mkdirSync(join(at, 'builds', `${'0'.repeat(64)}-half`))
    mkdirSync(join(at, 'work/left-over'))

    await noun.retain(new Set([wanted[0]?.digest ?? '']))
    const kept = [wanted[0], ...wanted.slice(3)].flatMap((each) => (each ? [buildKey(each)] : []))
    expect(builds(at).sort()).toEqual(kept.sort())
    expect(readdirSync(join(at, 'work'))).toEqual([])
  })

  test('is decided by the time of the build', () => {
    const build = (key: string, builtAt: number) => ({ key, digest: key, builtAt })
    const all = [build('a', 1), build('b', 3), build('c', 2), build('d', 3)]
    expect(expiredBuilds(all, new Set(), 2)).toEqual(['c', 'a'])
    expect(expiredBuilds(all, new Set(['c']), 2)).toEqual(['a'])
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
  const env = hostEnvironment()

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
    expect(await runBuild(hostile, never, env)).toMatchObject({ kind: 'timed_out' })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    expect(await markedProcesses(BUILD_MARK, hostile.mark)).toEqual([])
    expect(readFileSync(hostile.logFile, 'utf8')).toMatch(/started/)
  })

  test('that succeeds leaves no daemon either', async () => {
    const leaves = job([['sh', '-c', 'setsid sleep 600 & echo done']])
    expect(await runBuild(leaves, never, env)).toEqual({ kind: 'done' })
    expect(await markedProcesses(BUILD_MARK, leaves.mark)).toEqual([])
  })

  test('kills first what a former agent left of it', async () => {
    const again = job([['true']])
    const former = job([['sh', '-c', 'echo up; sleep 600']])
    const stop = new AbortController()
    const old = runBuild({ ...former, mark: again.mark }, stop.signal, env)
    await expect
      .poll(() => existsSync(former.logFile) && readFileSync(former.logFile, 'utf8'))
      .toContain('up\n')
    expect(await runBuild(again, never, env)).toEqual({ kind: 'done' })
    expect(await old).toMatchObject({ kind: 'failed', signal: 'SIGKILL' })
  })

  test('sees nothing of the environment but the allowed', async () => {
    process.env.TUCANO_TEST_SECRET = 'canary'
    onTestFinished(() => void delete process.env.TUCANO_TEST_SECRET)
    const shows = job([['sh', '-c', 'env; node --version']])
    await runBuild(shows, never, env)
    const output = readFileSync(shows.logFile, 'utf8')
    expect(output).not.toContain('canary')
    expect(output).toContain(`HOME=${shows.folder}\n`)
    expect(output).toContain(process.version)
  })

  test('stops at the first command that fails', async () => {
    const fails = job([['true'], ['sh', '-c', 'exit 3'], ['touch', 'never']])
    expect(await runBuild(fails, never, env)).toMatchObject({ kind: 'failed', exitCode: 3 })
    expect(readdirSync(fails.folder)).toEqual([])
  })

  test('that prints 20 MB keeps the beginning and the end of it', async () => {
    const floods = job([['sh', '-c', 'echo first; seq 1 2600000; echo last']])
    expect(await runBuild(floods, never, env)).toEqual({ kind: 'done' })
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
