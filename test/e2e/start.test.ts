// What a sysadmin meets at a start that does not work: which exit code, which words, no port open.

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePorts } from '#test/helpers/free-ports.ts'
import { startCluster } from '#test/helpers/real-cluster.ts'

const root = join(import.meta.dirname, '../..')
let folder: string
let ports: number[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tucano-start-'))
  ports = await freePorts(2)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function ctld(topology: string[], extra: string[] = []) {
  const file = join(folder, 'topology.yaml')
  await writeFile(
    file,
    [
      'topology:',
      ...topology.map((line) => `  - ${line}`),
      `api: { port: ${ports[0]} }`,
      `balancer: { host: 127.0.0.1, port: ${ports[1]} }`,
      `store: { folder: ${folder}/state }`,
      '',
    ].join('\n'),
  )
  const args = [join(root, 'ctld/main.ts'), '--config', file, ...extra]
  return execa(process.execPath, args, { reject: false, timeout: 30_000 })
}

const one = '{ name: c1, kind: ctl, ip: 127.0.0.1 }'

describe('F28: the number of controllers', () => {
  test('T01/M44: two controllers: exit 2, both ips named, no port opened', async () => {
    const { exitCode, stderr } = await ctld([one, '{ name: c2, kind: ctl, ip: 127.0.0.2 }'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('127.0.0.1')
    expect(stderr).toContain('127.0.0.2')
    expect(stderr).toMatch(/topology\.yaml:\d+:\d+ topology\[1\]\.kind/)
    for (const port of ports) expect(await isOpen(port)).toBe(false)
  })

  test('T02/Q14: none: exit 2, said so, no port opened', async () => {
    const { exitCode, stderr } = await ctld(['{ name: w1, kind: worker, ip: 127.0.0.1 }'])
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/ctl/)
    for (const port of ports) expect(await isOpen(port)).toBe(false)
  })
})

test('Q14: a controller whose ip is not of this machine: exit 2, unless told otherwise', async () => {
  const foreign = ['{ name: c1, kind: ctl, ip: 192.0.2.7 }']
  const refused = await ctld(foreign, ['--check'])
  expect(refused.exitCode).toBe(2)
  expect(refused.stderr).toContain('192.0.2.7')
  expect((await ctld(foreign, ['--check', '--allow-nonlocal'])).exitCode).toBe(0)
})

test('F29: the port of the API is taken: exit 1 within a moment, naming the port and who has it', async () => {
  const server = createServer().listen(ports[0], '127.0.0.1')
  await once(server, 'listening')
  const { exitCode, stderr } = await ctld([one])
  server.close()
  expect(exitCode).toBe(1)
  expect(stderr).toContain(`port ${ports[0]}`)
  expect(stderr).toContain(`process ${process.pid}`)
})

test('F26: a second controller on the same data folder: exit 1, naming the first', async () => {
  await using cluster = await startCluster({ workers: 1, startAgents: false })
  const file = join(cluster.folder, 'topology.yaml')
  const args = [join(root, 'ctld/main.ts'), '--config', file]
  const { exitCode, stderr } = await execa(process.execPath, args, { reject: false })
  expect(exitCode).toBe(1)
  expect(stderr).toContain(String(cluster.controller().pid))
})

test('S1/Q20: the tokens are made at the first start, for their owner alone', async () => {
  await using cluster = await startCluster({ workers: 1, startAgents: false })
  const { stdout } = await execa('stat', ['-c', '%a', join(cluster.folder, 'ctld/admin-token')])
  expect(stdout).toBe('600')
  expect((await fetch(`${cluster.apiUrl}/v1/nodes`)).status).toBe(401)
})

test('Q15: an agent with a wrong token is refused and says so', async () => {
  await using cluster = await startCluster({ workers: 1, startAgents: false })
  const token = join(cluster.folder, 'wrong-token')
  await writeFile(token, 'x'.repeat(40), { mode: 0o600 })
  const response = await fetch(`${cluster.apiUrl}/v1/agents/w1/report`, {
    method: 'POST',
    headers: { authorization: `Bearer ${'x'.repeat(40)}`, 'content-type': 'application/json' },
    body: '{}',
  })
  expect(response.status).toBe(401)
  expect((await cluster.runtime()).alive_nodes).toEqual([])
})

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
