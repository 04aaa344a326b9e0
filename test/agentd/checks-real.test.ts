// What only real programs, sockets and processes can show of a check.

import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ProgramMark } from '#agentd/ports.ts'
import { COMMANDS_MAX, createCommandChecks } from '#agentd/runner/check-command.io.ts'
import { probeHttp } from '#agentd/runner/probe.io.ts'
import { isRunning, markOf, readBoot, startTimeOf } from '#agentd/runner/proc.io.ts'
import type { HttpWay } from '#shared/wire-checks.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function askOf(answer: Answer, more: Partial<HttpWay> = {}) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const status: [number, number][] = [[200, 399]]
  const rest = { status, headers: {}, answer_headers: {}, answer_body: [], ...more }
  return probeHttp(
    { host: '127.0.0.1', port, timeoutMs: 500 },
    { kind: 'http', path: '/', ...rest },
  )
}

const says =
  (text: string, headers = {}): Answer =>
  (_, response) =>
    response.writeHead(200, headers).end(text)

test.each([
  [204, true],
  [205, false],
  [401, true],
  [402, true],
  [403, false],
])('only the statuses that are named pass: %i', async (code, ok) => {
  const ranges: [number, number][] = [
    [204, 204],
    [401, 402],
  ]
  const answer: Answer = (_, response) => response.writeHead(code).end()
  expect(await askOf(answer, { status: ranges })).toEqual({ ok, words: `HTTP ${code} from /` })
})

test('its headers are sent, also one that names another host', async () => {
  const headers = { Host: 'api.example.com', 'X-Probe': '1' }
  const answer: Answer = (request, response) => {
    const isMeant = request.headers.host === 'api.example.com' && request.headers['x-probe'] === '1'
    response.writeHead(isMeant ? 200 : 400).end()
  }
  expect(await askOf(answer, { headers })).toMatchObject({ ok: true })
})

test('the headers of the answer must be there, and contain what is wanted', async () => {
  const json = says('{}', { 'Content-Type': 'application/json; charset=utf-8' })
  const ask = (answer_headers: Record<string, string>) => askOf(json, { answer_headers })
  expect(await ask({ 'content-type': 'json' })).toEqual({ ok: true, words: 'HTTP 200 from /' })
  expect(await ask({ 'X-Ready': '' })).toEqual({
    ok: false,
    words: 'HTTP 200 from / without the header X-Ready',
  })
  expect(await ask({ 'Content-Type': 'html' })).toEqual({
    ok: false,
    words: 'HTTP 200 from / with the header Content-Type without "html"',
  })
})

test('the body must contain the texts; a wrong status is told first', async () => {
  const answer_body = ['"db":', '"up"']
  expect(await askOf(says('{"db": "up"}'), { answer_body })).toEqual({
    ok: true,
    words: 'HTTP 200 from /',
  })
  expect(await askOf(says('{"db": "down"}'), { answer_body })).toEqual({
    ok: false,
    words: 'HTTP 200 from / without "\\"up\\"" in its body',
  })
  const failing: Answer = (_, response) => response.writeHead(500).end('{"db": "up"}')
  expect(await askOf(failing, { answer_body })).toEqual({ ok: false, words: 'HTTP 500 from /' })
})

test('a body without an end passes as soon as it fits, and fails within the time otherwise', async () => {
  const endless: Answer = (_, response) => {
    response.write('data: ready\n')
    const timer = setInterval(() => response.write('data: tick\n'), 20)
    response.on('close', () => clearInterval(timer))
  }
  expect(await askOf(endless, { answer_body: ['ready'] })).toMatchObject({ ok: true })
  expect(await askOf(endless, { answer_body: ['never'] })).toEqual({
    ok: false,
    words: 'no answer from / within 500 ms',
  })
})

test('a body that is cut off does not pass', async () => {
  const cut: Answer = (_, response) => {
    response.writeHead(200, { 'content-length': '1000' }).write('rea')
    setImmediate(() => response.destroy())
  }
  expect(await askOf(cut, { answer_body: ['ready'] })).toMatchObject({ ok: false })
})

async function programOf(env: Record<string, string> = {}): Promise<ProgramMark> {
  const { spawn } = await import('node:child_process')
  const folder = temporaryFolder()
  const child = spawn('sleep', ['600'], {
    cwd: folder,
    env: { HOME: folder, ...env },
    stdio: 'ignore',
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await once(child, 'spawn')
  return markOf(child.pid as number, readBoot())
}

async function commandOf(script: string, timeoutMs = 10_000, env: Record<string, string> = {}) {
  const mark = await programOf({ PATH: process.env.PATH ?? '', ...env })
  const argv = ['sh', '-c', script]
  return createCommandChecks(readBoot()).run({ argv, mark, timeoutMs, entries: [] })
}

test('a command passes with exit code 0 alone, and its last line is told', async () => {
  expect(await commandOf('echo fine; exit 0')).toEqual({ ok: true, words: 'sh: exit code 0: fine' })
  const failing = 'echo one; printf "database\\033[31m away\\n" >&2; exit 3'
  const { ok, words } = await commandOf(failing)
  expect(ok).toBe(false)
  expect(words).toMatch(/^sh: exit code 3: (database \[31m away|one)$/)
  expect(await commandOf('kill -9 $$')).toMatchObject({
    ok: false,
    words: expect.stringMatching(/^sh: exit code 137/),
  })
})

test('it gets the environment of the program and its folder, and nothing of the agent', async () => {
  process.env.OF_THE_AGENT = '1'
  onTestFinished(() => {
    delete process.env.OF_THE_AGENT
  })
  const env = { GREETING: "a b\nc='d'" }
  const script = 'test "$GREETING" = "a b\nc=\'d\'" && test -z "$OF_THE_AGENT" && pwd'
  const { ok, words } = await commandOf(script, 10_000, env)
  expect(ok).toBe(true)
  expect(words).toContain('tucano')
})

test('there is no shell between: words stay words', async () => {
  const mark = await programOf({ PATH: process.env.PATH ?? '' })
  const argv = ['echo', '$HOME; exit 1', '--', '`id`']
  const checks = createCommandChecks(readBoot())
  expect(await checks.run({ argv, mark, timeoutMs: 10_000, entries: [] })).toEqual({
    ok: true,
    words: 'echo: exit code 0: $HOME; exit 1 -- `id`',
  })
})

test('one that cannot be found fails in words', async () => {
  const mark = await programOf({ PATH: process.env.PATH ?? '' })
  const run = (argv: string[]) =>
    createCommandChecks(readBoot()).run({ argv, mark, timeoutMs: 10_000, entries: [] })
  expect(await run(['no-such-program'])).toMatchObject({
    ok: false,
    words: expect.stringMatching(/^no-such-program: exit code 127: .*not found/),
  })
})

test('at the end of its time its whole group is killed', async () => {
  const folder = temporaryFolder()
  const script = `sleep 600 & echo $! >${folder}/child; wait`
  const answer = await commandOf(script, 300)
  expect(answer).toEqual({ ok: false, words: 'sh did not end within 300 ms' })
  const pid = Number(readFileSync(join(folder, 'child'), 'utf8'))
  await vi.waitFor(() => expect(startTimeOf(pid)).toBeUndefined())
})

test('what it leaves in its group does not outlive it, nor keep anybody waiting', async () => {
  const folder = temporaryFolder()
  const answer = await commandOf(`sleep 600 & echo $! >${folder}/child; exit 0`)
  expect(answer).toMatchObject({ ok: true })
  const pid = Number(readFileSync(join(folder, 'child'), 'utf8'))
  await vi.waitFor(() => expect(startTimeOf(pid)).toBeUndefined())
  // One that leaves the group keeps the output open: its answer counts all the same.
  const leaves = `setsid sh -c 'echo $$ >${folder}/escaped; exec sleep 600' & sleep 0.2; exit 0`
  expect(await commandOf(leaves)).toMatchObject({ ok: true })
  process.kill(Number(readFileSync(join(folder, 'escaped'), 'utf8')), 'SIGKILL')
})

test('a flood of output is read and forgotten', async () => {
  const { ok, words } = await commandOf('head -c 20000000 /dev/zero | tr "\\0" x; echo; echo end')
  expect(ok).toBe(true)
  expect(words.length).toBeLessThan(400)
})

test('the check of a program that has ended fails, and nothing is run for it', async () => {
  const mark = await programOf()
  const other = { ...mark, startTime: `${mark.startTime}1` }
  expect(isRunning(other, readBoot())).toBe(false)
  const folder = temporaryFolder()
  const argv = ['touch', join(folder, 'ran')]
  const checks = createCommandChecks(readBoot())
  const answer = await checks.run({ argv, mark: other, timeoutMs: 5_000, entries: [] })
  expect(answer).toEqual({ ok: false, words: 'its program does not run' })
  expect(existsSync(join(folder, 'ran'))).toBe(false)
})

test('not more of them run at the same time than are allowed, and none is lost', async () => {
  const mark = await programOf({ PATH: process.env.PATH ?? '' })
  const folder = temporaryFolder()
  const checks = createCommandChecks(readBoot())
  const script = `mkdir ${folder}/$$; ls ${folder} | wc -l; rmdir ${folder}/$$`
  const argv = ['sh', '-c', script]
  const all = Array.from({ length: COMMANDS_MAX + 20 }, () =>
    checks.run({ argv, mark, timeoutMs: 20_000, entries: [] }),
  )
  const answers = await Promise.all(all)
  expect(answers.every(({ ok }) => ok)).toBe(true)
  const most = Math.max(...answers.map(({ words }) => Number(words.split(' ').at(-1))))
  expect(most).toBeLessThanOrEqual(COMMANDS_MAX)
})
