// A proxy that runs: started on its core, ready when it has answered, ended by its id whatever
// happens. Its output is kept in a file, and the end of it is shown when it fails.

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { FOLDERS_OF_SERVERS } from './programs.ts'
import { accessLogOf, launchOf, type ProxyName, type Setting } from './proxies.ts'

export type RunningProxy = {
  name: ProxyName
  pid: number
  port: number
  stop(): Promise<void>
}

const READY_MS = 15_000
const STOP_MS = 5_000
const LOOK_EVERY_MS = 20
const OUTPUT_SHOWN = 2_000

/** `pin`: words in front of a command that hold it on one core. */
export async function startProxy(
  name: ProxyName,
  setting: Setting,
  pin: readonly string[],
): Promise<RunningProxy> {
  const { folder, accessLog, port } = setting
  mkdirSync(folder, { recursive: true })
  // A worker that is another user than who started it.
  chmodSync(folder, 0o755)
  const { command, files, env } = launchOf(name, setting)
  for (const [file, text] of Object.entries(files)) writeFileSync(file, text)
  const printed = accessLog && name === 'haproxy' ? accessLogOf(setting) : `${folder}/output`
  const errors = `${folder}/errors`
  const [out, err] = [openSync(printed, 'a'), openSync(errors, 'a')]
  const [program = '', ...words] = [...pin, ...command]
  const child = spawn(program, words, {
    stdio: ['ignore', out, err],
    env: { ...process.env, ...env, PATH: `${process.env.PATH}:${FOLDERS_OF_SERVERS.join(':')}` },
  })
  closeSync(out)
  closeSync(err)
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? code}`))
  })
  const running = {
    name,
    pid: child.pid ?? 0,
    port,
    stop: () => stop(child, ended),
  }
  try {
    await listening(port, ended)
  } catch (error) {
    await running.stop()
    const text = `${readFileSync(printed, 'utf8')}${readFileSync(errors, 'utf8')}`
    throw new Error(`${name}: ${(error as Error).message}\n${text.slice(-OUTPUT_SHOWN)}`)
  }
  return running
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

async function listening(port: number, ended: Promise<string>): Promise<void> {
  const until = performance.now() + READY_MS
  let why: string | undefined
  void ended.then((how) => {
    why = how
  })
  while (!(await accepts(port))) {
    if (why !== undefined) throw new Error(why)
    if (performance.now() > until) throw new Error(`does not listen after ${READY_MS} ms`)
    await sleep(LOOK_EVERY_MS)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}
