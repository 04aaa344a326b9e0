import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openImageEdges } from '#agentd/images/image-edges.io.ts'
import type { ImagesPorts } from '#agentd/images/image-ports.ts'
import { buildKey, createImages } from '#agentd/images/images.ts'
import { expiredBuilds } from '#agentd/images/retention.ts'
import { openField } from '#agentd/isolation/box.io.ts'
import { PrepareError } from '#agentd/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { Log } from '#shared/ports.ts'
import { digestOf, imageController } from '#test/helpers/image-controller.ts'
import { file, link, type TarEntry, tar } from '#test/helpers/tar-writer.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

vi.setConfig({ testTimeout: 30_000 }) // Real processes, on machines that may be busy.

const silent = () => undefined
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }

/** An agent's images with real edges; `requests` are the paths asked of the controller. */
async function newAgent(overrides: Partial<ImagesPorts> = {}, at = temporaryFolder()) {
  const images = new Map<string, Buffer>()
  const requests: string[] = []
  const controller = await imageController((request, response) => {
    requests.push(`${request.headers.authorization} ${request.url}`)
    const bytes = images.get((request.url ?? '').replace('/v1/images/', ''))
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes)
  })
  const edges = await openImageEdges({
    controller,
    token: () => 'secret',
    folder: at,
    box: openField(),
  })
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

  test.each(['finished', 'remove'] as const)(
    'leaves whole what is asked for while it is under way (in %s)',
    async (held) => {
      const { ports, image } = await newAgent()
      const wanted = Array.from({ length: 4 }, () => image([]))
      const reached = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      let isHeld = false
      const wait = async (where: string) => {
        if (!isHeld || where !== held) return
        reached.resolve()
        await gate.promise
      }
      const noun = createImages({
        ...ports,
        shelf: {
          ...ports.shelf,
          finished: () => wait('finished').then(ports.shelf.finished),
          remove: (key) => wait('remove').then(() => ports.shelf.remove(key)),
        },
      })
      onTestFinished(() => noun[Symbol.asyncDispose]())
      for (const each of wanted) await noun.prepare(each, silent)
      isHeld = true

      const retained = noun.retain(new Set())
      await reached.promise
      const prepared = Promise.all(wanted.map((each) => noun.prepare(each, silent)))
      if (held === 'finished') await prepared
      gate.resolve()
      await retained
      for (const { folder } of await prepared) expect(existsSync(folder)).toBe(true)
    },
  )

  test('is decided by the time of the build', () => {
    const build = (key: string, builtAt: number) => ({ key, digest: key, builtAt })
    const all = [build('a', 1), build('b', 3), build('c', 2), build('d', 3)]
    expect(expiredBuilds(all, new Set(), 2)).toEqual(['c', 'a'])
    expect(expiredBuilds(all, new Set(['c']), 2)).toEqual(['a'])
  })
})
