// deploy, scale, stop, rm and config against a fake controller.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Deployment, Instance } from '#shared/model.ts'
import { aDeployment, anInstance, aService } from '#test/fakes/ctld.ts'
import { createTestCli, type TestCli } from '#test/helpers/cli.ts'

const YAML = `name: api
concurrency: 2
port: 3000
image:
  path: .
  run: [node, server.js]
`
const TOPOLOGY = `topology:
  - { name: ctl, kind: ctl, ip: 10.0.0.10 }
  - { name: w1, kind: worker, ip: 10.0.0.11 }
balancer: { port: 8123 }
`

async function createWithService(): Promise<TestCli> {
  const cli = await createTestCli({
    instances: [],
    pending: [],
    config: { version: 2, text: TOPOLOGY, at: 2_000, by: 'api' },
  })
  const service = join(cli.folder, 'api')
  mkdirSync(service)
  writeFileSync(join(service, 'service.yaml'), YAML)
  writeFileSync(join(service, 'server.js'), 'console.log(1)\n')
  return cli
}

const instance = (node: string, over: Partial<Instance> = {}) =>
  anInstance({ id: `0000-${node}-0001`, node, deployment: 'd-2', ...over })

function settle({ ctld }: TestCli, over: Partial<Deployment>, instances: Instance[]): void {
  ctld.step({ instances, deployments: [aDeployment({ id: 'd-2', ...over })] })
}

test('deploy uploads, follows each instance, and says where it runs and how to reach it', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  settle(cli, { state: 'deploying' }, [instance('w1', { state: 'deploying', phase: 'building' })])
  await running.said(/w1 {2}1-0001 {2}building|building/)
  settle(cli, { state: 'complete_running', why: '2 of 2 running' }, [
    instance('w1'),
    instance('w2'),
  ])
  const { code, out, err } = await running.done
  expect(code).toBe(0)
  expect(err).toContain('uploaded')
  expect(err).toContain('hint: api: no check is configured')
  expect(err).toMatch(/w2 +\S+ +healthy, port 20001/)
  expect(err).toContain('api runs: 2 of 2 running')
  expect(out).toMatch(/^INSTANCE/)
  expect(out).toContain("curl -H 'Host: api' 'http://127.0.0.1:8123/'")
  expect(out + err).not.toContain('\u001b')
  expect(cli.images.files.size).toBe(2)
  const [command] = cli.ctld.commands
  expect(command).toMatchObject({ kind: 'deploy', config: { concurrency: 2 } })
})

test('an image that the controller has is not uploaded again', async () => {
  const cli = await createWithService()
  expect((await cli.tucano('deploy', 'api', '--detach')).err).toContain('uploaded')
  const again = await cli.tucano('deploy', 'api', '--detach', '--concurrency', '7')
  expect(again.err).toContain('the controller has the image already')
  expect(again).toMatchObject({ code: 0, out: 'd-2\n' })
  expect(cli.ctld.commands[1]).toMatchObject({ config: { concurrency: 7 } })
})

test('a deployment that fails: which instance, where, why, its probe, its output, what next', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  const failure = {
    error: 'it exited with code 1',
    exit_code: 1,
    last_probe: 'connection refused',
    log_tail: ['Error: cannot find module x'],
  }
  const failed = instance('w1', { state: 'failed_to_start', healthy: false, failure })
  settle(
    cli,
    {
      state: 'incomplete_running',
      why: '0 of 2 running, 1 failed to start',
      failure: { ...failure, instance: failed.id, node: 'w1' },
    },
    [failed],
  )
  const { code, err, out } = await running.done
  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toContain('the deployment of api failed: 0 of 2 running, 1 failed to start')
  expect(err).toContain('instance -w1-0001 on w1: it exited with code 1')
  expect(err).toContain('last health check: connection refused')
  expect(err).toContain('    | Error: cannot find module x')
  expect(err).toContain('next: tucano logs -w1-0001, or')
})

test('the first failed try is told with its reason, the ones after it are not', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  const failing = (attempt: number, over: Partial<Instance> = {}) =>
    instance('w1', {
      state: 'deploying',
      healthy: false,
      attempt,
      failure: {
        error: `exit ${attempt}`,
        exit_code: attempt,
        last_probe: 'connection refused',
        log_tail: ['Error: no such table', ''],
      },
      ...over,
    })
  const waiting = { why: 'try 1 of 6 failed: exit 1', changedAt: 5_000, retryAt: 7_000 }
  settle(cli, { state: 'deploying' }, [failing(1, waiting)])
  await running.said(/no such table/)
  settle(cli, { state: 'deploying' }, [failing(2, { phase: 'starting' })])
  settle(cli, { state: 'deploying' }, [failing(2, { why: 'try 2 of 6', retryAt: 9_000 })])
  settle(cli, { state: 'complete_running', why: '1 of 1 running' }, [instance('w1')])
  const { err } = await running.done
  expect(err).toContain('  w1  -w1-0001  failed: exit 1 (try 1, again in 2 s)\n')
  expect(err).toContain('\n      | Error: no such table\n')
  expect(err.match(/failed|waits|starting/g)).toEqual(['failed'])
  expect(err).toContain('  w1  -w1-0001  healthy, port 20001')
})

test('of an error that ended Node its name is told, not the version that Node says last', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  const log_tail = [
    ...['/srv/api/server.js:1', 'throw new Error("no table")', '^', '', 'Error: no table'],
    ...['    at Object.<anonymous> (/srv/api/server.js:1:7)', '', 'Node.js v24.21.0', ''],
  ]
  const failure = { error: 'exit 1', exit_code: 1, log_tail }
  const waiting = { why: 'try 1 of 6 failed: exit 1', changedAt: 5_000, retryAt: 7_000 }
  const failing = { state: 'deploying', healthy: false, attempt: 1, failure, ...waiting } as const
  settle(cli, { state: 'deploying' }, [instance('w1', failing)])
  await running.said(/\| Error: no table/)
  settle(cli, { state: 'complete_running', why: '1 of 1 running' }, [instance('w1')])
  expect((await running.done).err).not.toContain('Node.js v24')
})

test('each step of a canary is told once', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  const canary = (percent: number) =>
    cli.ctld.step({ configured_services: [aService({ rollout: { since: 0, step: 0, percent } })] })
  canary(10)
  await running.said(/gets 10 % of the requests/)
  canary(10)
  canary(100)
  await running.said(/gets 100 % of the requests/)
  settle(cli, { state: 'complete_running', why: '1 of 1 running' }, [instance('w1')])
  expect((await running.done).err.match(/gets \d+ %/g)).toEqual(['gets 10 %', 'gets 100 %'])
})

test('what waits for a place is told once, and named again when the time is up', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api', '--timeout', '1500ms'])
  await running.said(/deployment d-2/)
  const pending = [{ service: 'api', count: 1, why: 'w1: has 2 of max_per_node 2' }]
  cli.ctld.step({ pending, deployments: [aDeployment({ id: 'd-2', state: 'deploying' })] })
  const { code, err } = await running.done
  const words = 'waiting for a place: 1 of api: w1: has 2 of max_per_node 2'
  expect(code).toBe(1)
  expect(err.split('\n').filter((line) => line === `  ${words}`)).toHaveLength(1)
  expect(err).toContain(`not settled after 2 s; ${words}; the deployment goes on`)
})

test('a failed update says which revision goes on serving', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  cli.ctld.step({ configured_services: [aService({ revision: 2, programRevision: 2 })] })
  settle(cli, { state: 'incomplete_running', why: '0 of 2 running, 1 failed to start' }, [
    instance('w1', { revision: 1 }),
    instance('w2', { revision: 2, state: 'failed_to_start' }),
  ])
  const { code, err } = await running.done
  expect(code).toBe(1)
  expect(err).toContain('  revision 1 goes on serving (1 instance)\n')
})

test.each(['path', 'archive'])(
  'an image.%s that is not there is named with its key',
  async (key) => {
    const cli = await createWithService()
    writeFileSync(join(cli.folder, 'api/service.yaml'), YAML.replace('path: .', `${key}: ./gone`))
    const { code, err } = await cli.tucano('deploy', 'api')
    expect(code).toBe(2)
    expect(err).toContain(`api/service.yaml: image.${key}: there is no f`)
    expect(err).toContain('/api/gone')
  },
)

test('deploy --json prints the deployment and nothing else, failed or not', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api', '--json'])
  await running.said(/deployment d-2/)
  settle(cli, { state: 'incomplete_running' }, [])
  const { code, out } = await running.done
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({ id: 'd-2', state: 'incomplete_running' })
})

test('deploy --timeout gives up waiting, says that the deployment goes on, and exits with 1', async () => {
  const cli = await createWithService()
  const { code, err } = await cli.tucano('deploy', 'api', '--timeout', '50ms')
  expect(code).toBe(1)
  expect(err).toContain('not settled after 50 ms; the deployment goes on; see: tucano show api')
})

test('Ctrl-C while it waits says that the deployment goes on, and exits with 130', async () => {
  const cli = await createWithService()
  const running = cli.begin(['deploy', 'api'])
  await running.said(/deployment d-2/)
  running.interrupt()
  const { code, err } = await running.done
  expect(code).toBe(130)
  expect(err).toContain('tucano: the deployment goes on; see: tucano show api')
})

test('a service.yaml with faults is told with every place, and is wrong usage', async () => {
  const cli = await createWithService()
  writeFileSync(join(cli.folder, 'api/service.yaml'), 'name: api\nconcurency: 2\n')
  const { code, err } = await cli.tucano('deploy', 'api')
  expect(code).toBe(2)
  expect(err).toContain('service.yaml:2:1 concurency')
  expect(err).toContain('did you mean `concurrency`')
  expect(err).toMatch(/^tucano: invalid configuration:\n {2}service\.yaml:1:1 concurrency: missing/)
})

test('the state of a cluster is not packed with a service', async () => {
  const cli = await createWithService()
  writeFileSync(join(cli.folder, 'service.yaml'), YAML)
  const { code, err } = await cli.tucano('deploy')
  expect(code).toBe(2)
  expect(err).toContain('holds .tucano')
  writeFileSync(join(cli.folder, '.tucanoignore'), '.tucano\n')
  expect((await cli.tucano('deploy', '-d')).code).toBe(0)
})

test('scale, stop, start and rm wait for their deployment', async () => {
  const lines = {
    'scale api 5': 'api: 5 running\n',
    'stop api': 'api: stopped\n',
    'start api': 'api: running\n',
    'rm api': 'api: removed\n',
  }
  for (const [words, said] of Object.entries(lines)) {
    const state = /stop|rm/.test(words) ? 'complete_termination' : 'complete_running'
    const cli = await createTestCli({ deployments: [aDeployment({ id: 'd-2', state })] })
    expect(await cli.tucano(...words.split(' '))).toMatchObject({ code: 0, out: said })
    expect(cli.ctld.commands).toHaveLength(1)
  }
})

test('a removed service takes its deployment along: that is the end of rm', async () => {
  const cli = await createTestCli({
    deployments: [aDeployment({ id: 'd-2', state: 'terminating' })],
  })
  const running = cli.begin(['rm', 'api'])
  await expect.poll(() => cli.ctld.commands.length).toBe(1)
  cli.ctld.step({ configured_services: [], deployments: [] })
  expect(await running.done).toMatchObject({ code: 0, out: 'api: removed\n' })
})

test('a service that is not there: 1, with what to call next', async () => {
  const cli = await createTestCli()
  const { code, err } = await cli.tucano('stop', 'nope')
  expect(code).toBe(1)
  expect(err).toBe(
    'tucano: there is no service nope\nnext: tucano services and tucano ps list what there is\n',
  )
})

test('config get, put and history; a stale version says what to do', async () => {
  const cli = await createTestCli({ config: { version: 2, text: TOPOLOGY, at: 2_000, by: 'api' } })
  expect((await cli.tucano('config', 'get')).out).toBe(TOPOLOGY)
  const file = join(cli.folder, 'topology.yaml')
  expect((await cli.tucano('config', 'get', '-o', 'topology.yaml')).code).toBe(0)
  expect(readFileSync(file, 'utf8')).toBe(TOPOLOGY)
  expect((await cli.tucano('config', 'put', 'topology.yaml')).out).toBe('version 3 is in force\n')
  expect(cli.ctld.commands[0]).toMatchObject({ kind: 'put_config', version: 2, text: TOPOLOGY })
  const stale = await cli.tucano('config', 'put', 'topology.yaml', '--version', '1')
  expect(stale.code).toBe(1)
  expect(stale.err).toContain('next: tucano config get --output FILE, repeat the change')
  expect((await cli.tucano('config', 'get', '--version', '1')).out).toBe('topology:\n')
  expect((await cli.tucano('config', 'history')).out).toContain('2 (in force)  api')
})
