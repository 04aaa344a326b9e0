// What only real processes can show: output, environment, odd ends, and an agent killed outright.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { LOG_FILE_BYTES_MAX } from '#agentd/runner/log-file.io.ts'
import { probeHttp, probeTcp } from '#agentd/runner/probe.io.ts'
import { isRunning, readBoot, startTimeOf } from '#agentd/runner/proc.io.ts'
import { createPrograms } from '#agentd/runner/programs.io.ts'
import type { HttpWay } from '#shared/wire-checks.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

function open(dataFolder = temporaryFolder()) {
  const programs = createPrograms({ dataFolder, host: '127.0.0.1', log })
  onTestFinished(async () => {
    for (const id of await programs.strays()) await programs.sweep(id)
    programs[Symbol.dispose]()
  })
  const nextEnd = () =>
    new Promise<{ id: string; mark: ProgramMark; end: ProgramEnd }>((resolve) =>
      programs.onEnd((id, mark, end) => resolve({ id, mark, end })),
    )
  const run = (id: string, argv: string[], env: Record<string, string> = {}) =>
    programs.start({ id, argv, folder: dataFolder, env })
  return { programs, nextEnd, run, dataFolder }
}

test('S8: a program sees named variables only, and words of its argv are never a script', async () => {
  const { programs, nextEnd, run } = open()
  const end = nextEnd()
  const script =
    'console.log(JSON.stringify([process.env, process.argv.slice(1), process.version]))'
  await run('a', ['node', '-e', script, '$(touch x)', '; exit 9', ''], { PORT: '1', A: 'b c' })
  expect((await end).end).toEqual({ code: 0, signal: undefined })
  const [line = ''] = await programs.logTail('a')
  const [env, argv, version] = JSON.parse(line)
  expect(argv).toEqual(['$(touch x)', '; exit 9', ''])
  expect(version).toBe(process.version)
  expect(Object.keys(env).sort()).toEqual(
    'A HOME HOST LANG PATH PORT PWD TMPDIR TUCANO_AGENT TUCANO_INSTANCE TUCANO_MARK'.split(' '),
  )
  expect(env).toMatchObject({ A: 'b c', HOST: '127.0.0.1', TUCANO_INSTANCE: 'a' })
})

test('S04: a program killed by a signal, and one that does not exist, end in those words', async () => {
  const { programs, nextEnd, run } = open()
  let end = nextEnd()
  await run('a', ['sh', '-c', 'kill -SEGV $$'])
  expect((await end).end).toEqual({ code: undefined, signal: 'SIGSEGV' })
  end = nextEnd()
  await run('b', ['no-such-program'])
  expect((await end).end).toEqual({ code: 127, signal: undefined })
  expect(await programs.logTail('b')).toEqual([expect.stringContaining('no-such-program')])
})

test('Q22: SIGINT has its default action in a program, as if no shell were around it', async () => {
  const { programs, nextEnd, run } = open()
  const end = nextEnd()
  const mark = await run('a', ['sh', '-c', 'echo up; exec sleep 100'])
  while ((await programs.logTail('a')).length === 0) await new Promise(setImmediate)
  programs.signal('a', mark, 'SIGINT')
  expect((await end).end).toEqual({ code: undefined, signal: 'SIGINT' })
})

test('a folder that does not exist refuses the start', async () => {
  const { programs } = open()
  const start = programs.start({ id: 'a', argv: ['true'], folder: '/no/such/folder', env: {} })
  await expect(start).rejects.toThrow()
})

test('F04: a program and its shell that were killed outright are missed within a second', async () => {
  const { run, programs, dataFolder } = open()
  const mark = await run('a', ['sleep', '100'])
  programs[Symbol.dispose]()
  const second = open(dataFolder)
  expect(await second.programs.adopt('a', mark)).toBe(true)
  const end = second.nextEnd()
  process.kill(-mark.pid, 'SIGKILL')
  expect((await end).end).toEqual({ code: undefined, signal: undefined })
})

test('F35: an agent that is out of files does not take a running program for dead', async () => {
  const fixture = join(fixtures, 'out-of-files.ts')
  const child = spawn('sh', ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, fixture])
  const said: string[] = []
  for await (const line of createInterface(child.stdout)) said.push(line)
  expect(said).toEqual(['true', 'EMFILE', 'EMFILE'])
})

test('F03: a program outlives the agent that started it by kill -9, and is adopted', async () => {
  const dataFolder = temporaryFolder()
  const starter = spawn(
    process.execPath,
    [join(fixtures, 'program-starter.ts'), dataFolder, 'a', 'sh', '-c', 'sleep 100; exit 5'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [line] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string]
  const mark = JSON.parse(line) as ProgramMark
  const gone = once(starter, 'exit')
  starter.kill('SIGKILL')
  await gone
  const { programs, nextEnd } = open(dataFolder)
  expect(isRunning(mark, readBoot())).toBe(true)
  expect(await programs.adopt('a', mark)).toBe(true)
  const end = nextEnd()
  // The program alone, not its shell: how it ended is still learnt.
  const children = readFileSync(`/proc/${mark.pid}/task/${mark.pid}/children`, 'utf8')
  process.kill(Number(children.trim()), 'SIGTERM')
  expect(await end).toEqual({ id: 'a', mark, end: { code: undefined, signal: 'SIGTERM' } })
})

test('Q07: two agents on one machine do not sweep each other', async () => {
  const one = open()
  const two = open()
  const mark = await one.run('same', ['sleep', '100'])
  await two.programs.sweep('same')
  expect(await two.programs.strays()).toEqual([])
  expect(await one.programs.adopt('same', mark)).toBe(true)
})

test('F30: what a program leaves in its group ends with it, also without the mark', async () => {
  const { programs, nextEnd, run } = open()
  const end = nextEnd()
  await run('a', ['sh', '-c', 'env -i sleep 600 & echo $!; exit 3'])
  expect((await end).end).toEqual({ code: 3, signal: undefined })
  const [pid = ''] = await programs.logTail('a')
  await vi.waitFor(() => expect(startTimeOf(Number(pid))).toBeUndefined(), 4_000)
})

test('forgets all files of an instance', async () => {
  const { programs, nextEnd, run, dataFolder } = open()
  const end = nextEnd()
  await run('a', ['sh', '-c', 'echo hi; echo x > "$HOME/file"'])
  await end
  expect(existsSync(join(dataFolder, 'instances/a/home/file'))).toBe(true)
  await programs.forget('a')
  expect(existsSync(join(dataFolder, 'instances/a'))).toBe(false)
})

test('F31: what a program printed in a flood is cut back also when it has ended', async () => {
  const { nextEnd, run, dataFolder } = open()
  const end = nextEnd()
  await run('a', ['head', '-c', String(5 * LOG_FILE_BYTES_MAX), '/dev/zero'])
  await end
  const path = join(dataFolder, 'instances/a/output.log')
  await vi.waitFor(() => expect(statSync(path).size).toBeLessThan(LOG_FILE_BYTES_MAX), 4_000)
})

test('Q11: a check ends also when the program answers with another protocol', async () => {
  const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'
  const answer: RequestListener = ({ socket }) => socket.end(upgrade)
  expect(await probeOf(answer, '/up')).toEqual({ ok: false, words: 'no usable answer from /up' })
})

async function probeOf(answer: RequestListener, path?: string, more: Partial<HttpWay> = {}) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const place = { host: '127.0.0.1', port, timeoutMs: 300 }
  if (path === undefined) return probeTcp(place)
  const status: [number, number][] = [[200, 399]]
  const rest = { status, headers: {}, answer_headers: {}, answer_body: [], ...more }
  return probeHttp(place, { kind: 'http', path, ...rest })
}

test('Q11: a check takes 200 to 399, follows no redirect, and does not wait for ever', async () => {
  const status = (code: number) => (_: unknown, response: import('node:http').ServerResponse) => {
    response.writeHead(code, { location: '/elsewhere' }).end('x'.repeat(100_000))
  }
  expect(await probeOf(status(200), '/up')).toEqual({ ok: true, words: 'HTTP 200 from /up' })
  expect(await probeOf(status(302), '/up')).toEqual({ ok: true, words: 'HTTP 302 from /up' })
  expect(await probeOf(status(404), '/up')).toEqual({ ok: false, words: 'HTTP 404 from /up' })
  expect(await probeOf(status(503), '/up')).toEqual({ ok: false, words: 'HTTP 503 from /up' })
  expect(await probeOf(() => {}, '/up')).toEqual({
    ok: false,
    words: 'no answer from /up within 300 ms',
  })
  expect(await probeOf(() => {})).toEqual({ ok: true, words: 'connected' })
})
