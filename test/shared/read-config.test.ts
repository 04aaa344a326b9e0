import { chmodSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  readAgentFile,
  readSecret,
  readServiceFile,
  readToken,
  readTopologyFile,
  readTopologyText,
} from '#shared/read-config.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const secret = 'correct-horse-battery-staple'

function written(name: string, text: string | Uint8Array, mode = 0o600): string {
  const file = join(temporaryFolder(), name)
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

afterEach(() => vi.unstubAllEnvs())

describe('files', () => {
  test('the examples load', async () => {
    expect((await readTopologyFile('topology.example.yaml')).topology).toHaveLength(4)
    expect((await readAgentFile('agent.example.yaml')).name).toBe('worker-1')
    expect((await readServiceFile('services/service.example.yaml')).name).toBe('hello')
  })

  test('relative paths start at the folder of the file', async () => {
    const topology = written(
      'topology.yaml',
      `topology: [{ name: c, kind: ctl, ip: 10.0.0.1 }]
api: { admin_token: { file: secrets/admin }, agent_token: { env: AGENT_TOKEN } }
alerts:
  smtp: { host: mail, password: { file: ../mail }, ca_file: ca.pem }
  from: a@example.com
  to: [b@example.com]
`,
    )
    const { api, alerts } = await readTopologyFile(topology)
    expect(api.admin_token).toEqual({ file: join(topology, '../secrets/admin') })
    expect(api.agent_token).toEqual({ env: 'AGENT_TOKEN' })
    expect(alerts.smtp?.password).toEqual({ file: join(topology, '../../mail') })
    expect(alerts.smtp?.ca_file).toBe(join(topology, '../ca.pem'))

    const agent = written('agent.yaml', 'name: w\ncontroller: http://c:7070\ntoken: { file: t }\n')
    expect((await readAgentFile(agent)).token).toEqual({ file: join(agent, '../t') })

    const image = (where: string) =>
      `name: a\nconcurrency: 1\nport: 3000\nimage: { ${where}, run: [./a] }\n`
    const service = written('service.yaml', image('path: .'))
    expect((await readServiceFile(service)).image.path).toBe(join(service, '..'))
    const packed = written('service.yaml', image('archive: /srv/a.tgz'))
    expect((await readServiceFile(packed)).image.archive).toBe('/srv/a.tgz')
  })

  test('a text that is not in its file yet is read as if it were', async () => {
    const text = `topology: [{ name: c, kind: ctl, ip: 10.0.0.1 }]
api: { admin_token: { file: admin } }
`
    const { api } = await readTopologyText(text, '/etc/tucano/topology.yaml')
    expect(api.admin_token).toEqual({ file: '/etc/tucano/admin' })
    await expect(readTopologyText('topology: []', '/etc/t.yaml')).rejects.toThrow('t.yaml:1:1')
  })

  test('a fault names the file by its own name, with line and column', async () => {
    await expect(readAgentFile(written('agent.yaml', 'name: w\nport: 22\n'))).rejects.toMatchObject(
      {
        code: 'invalid_config',
        problems: [{ where: 'agent.yaml:1:1 controller' }, { where: 'agent.yaml:2:1 port' }],
      },
    )
  })

  test.each(['agent', 'topology', 'service'])('%s: 10 MB are refused unread', async (kind) => {
    const file = written(`${kind}.yaml`, '')
    truncateSync(file, 10_000_000)
    const read = { agent: readAgentFile, topology: readTopologyFile, service: readServiceFile }[
      kind
    ]
    await expect(read?.(file)).rejects.toMatchObject({
      code: 'invalid_config',
      problems: [{ where: `${kind}.yaml`, what: expect.stringContaining('10000000 bytes') }],
    })
  })

  test('an endless file is refused at the limit', async () => {
    await expect(readAgentFile('/dev/zero')).rejects.toThrow('65537 bytes')
  })

  test('what cannot be read says why', async () => {
    await expect(readAgentFile('/nowhere/agent.yaml')).rejects.toThrow(
      /^cannot read \/nowhere\/agent.yaml: ENOENT/,
    )
    await expect(readAgentFile('/tmp')).rejects.toThrow(/^cannot read \/tmp: EISDIR/)
    const latin1 = written('agent.yaml', new Uint8Array([0x61, 0x3a, 0xe9]))
    await expect(readAgentFile(latin1)).rejects.toThrow('it is not UTF-8 text')
  })
})

describe('secrets', () => {
  test('are read from a file without the last line end', async () => {
    expect(await readToken({ file: written('t', `${secret}\n`) })).toBe(secret)
    expect(await readSecret({ file: written('t', ` ${secret} \r\n`) })).toBe(` ${secret} `)
  })

  test('are read from the environment', async () => {
    vi.stubEnv('A_TOKEN', secret)
    expect(await readToken({ env: 'A_TOKEN' })).toBe(secret)
    await expect(readSecret({ env: 'NO_TOKEN' })).rejects.toThrow('variable NO_TOKEN is not set')
  })

  test.each([0o640, 0o604, 0o644, 0o620])('mode %o is refused with its remedy', async (mode) => {
    const file = written('t', secret, mode)
    await expect(readSecret({ file })).rejects.toThrow(`run: chmod 600 ${file}`)
  })

  test.each([
    ['empty', '\n', 'is empty'],
    ['two lines', `${secret}\n${secret}\n`, 'holds more than one line'],
    ['too short', 'short-secret\n', 'at least 16 visible ASCII characters'],
    ['spaced', `${secret} ${secret}`, 'at least 16 visible ASCII characters'],
    ['huge', secret.repeat(1_000), 'is longer than 4096 bytes'],
  ])('%s: refused, and not repeated', async (_, text, why) => {
    const file = written('t', text)
    const error: unknown = await readToken({ file }).catch((refused: unknown) => refused)
    expect(error).toMatchObject({ code: 'invalid_config', message: expect.stringContaining(why) })
    expect(`${(error as Error).stack}`).not.toMatch(/horse|short-secret/)
  })

  test('a file that is not there is named', async () => {
    await expect(readSecret({ file: '/nowhere/token' })).rejects.toThrow(
      /^cannot read secret file \/nowhere\/token: ENOENT/,
    )
  })
})
