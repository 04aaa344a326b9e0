// plan, deploy --dry-run and simulate against a fake controller: what is asked, what is shown, and
// that nothing is changed.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { aForecast } from '#test/fakes/forecast.ts'
import { createTestCli, type TestCli } from '#test/helpers/cli.ts'

const YAML = `name: api
concurrency: 3
port: 3000
env: { MODE: fast }
image:
  path: .
  run: [node, server.js]
`

async function createWithService(): Promise<TestCli> {
  const cli = await createTestCli()
  const service = join(cli.folder, 'api')
  mkdirSync(service)
  writeFileSync(join(service, 'service.yaml'), YAML)
  writeFileSync(join(service, 'server.js'), 'console.log(1)\n')
  return cli
}

test.each([
  ['plan', ['plan', 'api']],
  ['deploy --dry-run', ['deploy', 'api', '--dry-run']],
])('%s shows each changed key and each action, and uploads nothing', async (_title, argv) => {
  const cli = await createWithService()
  const { code, out, err } = await cli.tucano(...argv)
  expect(code).toBe(0)
  expect(out).toContain('api: revision 1 -> 2; its program would be uploaded\n')
  expect(out).toMatch(/^concurrency +2 +3$/m)
  expect(out).toMatch(/^env\.MODE +- +fast$/m)
  expect(out).toMatch(/^image\.digest +sha256:a\S* +sha256:\S+$/m)
  expect(out).not.toContain('image.path')
  expect(out).toMatch(/^ *0 ms +place +api +new 1 +w1 +concurrency 2$/m)
  expect(out).toMatch(/^ *6 s +terminate +api +i-1 +w1 +replaced by a new revision$/m)
  expect(out).toContain('api: 1 would have no place: w2: is dead')
  expect(err).toContain('nothing was done')
  expect(cli.ctld.commands).toEqual([])
  expect(cli.images.files.size).toBe(1)
  const [{ commands = [] } = {}] = cli.ctld.questions
  expect(commands).toMatchObject([{ kind: 'deploy', config: { concurrency: 3 } }])
})

test('--concurrency counts for a plan as for a deploy', async () => {
  const cli = await createWithService()
  await cli.tucano('plan', 'api', '--concurrency', '7')
  expect(cli.ctld.questions[0]?.commands).toMatchObject([{ config: { concurrency: 7 } }])
})

test('simulate asks for all that is given at once, and shows where each service would stand', async () => {
  const { tucano, ctld } = await createTestCli()
  const argv = ['--kill', 'w1,w2', '--add', 'w4:zone=b:disk=ssd,w5', '--scale', 'api=4']
  const { code, out } = await tucano('simulate', ...argv, '--drain', 'w3')
  expect(code).toBe(0)
  expect(ctld.questions).toEqual([
    {
      kill: ['w1', 'w2'],
      add: [
        { name: 'w4', labels: { zone: 'b', disk: 'ssd' } },
        { name: 'w5', labels: {} },
      ],
      commands: [
        { kind: 'scale', service: 'api', concurrency: 4 },
        { kind: 'drain', node: 'w3' },
      ],
    },
  ])
  expect(out).toMatch(/^api +2 +1 +w1 +w1$/m)
  expect(out).toContain('api: 1 would have no place: w2: is dead')
  expect(ctld.commands).toEqual([])
})

test('simulate says so when nothing would be moved', async () => {
  const { tucano, ctld } = await createTestCli()
  ctld.forecast = aForecast({ actions: [], pending: [], services: [], frozen: true })
  const { out } = await tucano('simulate', '--kill', 'w1')
  expect(out).toContain('nothing would be started or stopped')
  expect(out).toContain('tucano unfreeze')
})

test('what is cut off is said', async () => {
  const { tucano, ctld } = await createTestCli()
  ctld.forecast = aForecast({ cutBy: 'actions' })
  expect((await tucano('simulate', '--kill', 'w1')).out).toContain('more actions than are foreseen')
})

test.each([
  [[], 'say what happens'],
  [['--add', 'w4:zone'], 'zone is not LABEL=VALUE'],
  [['--scale', 'api'], 'api is not SERVICE=N'],
  [['--scale', 'api=many'], '--scale is a whole number'],
])('simulate %j is refused in words', async (argv, words) => {
  const { tucano, ctld } = await createTestCli()
  const { code, err } = await tucano('simulate', ...argv)
  expect(code).toBe(2)
  expect(err).toContain(words)
  expect(ctld.questions).toEqual([])
})

test('--json gives the answer of the API', async () => {
  const { tucano, ctld } = await createTestCli()
  const { out } = await tucano('simulate', '--kill', 'w1', '--json')
  expect(JSON.parse(out)).toEqual(ctld.forecast)
})

test('the tables keep to 80 columns whatever the names are', async () => {
  const long = 'a-name-of-sixty-three-characters-which-is-the-most-that-is-allowed'.slice(0, 63)
  const { tucano, ctld } = await createTestCli()
  const action = { afterMs: 6_100, kind: 'forget_service', service: long } as const
  ctld.forecast = aForecast({
    actions: [{ ...action, instance: `01938f2a-0000-7000-8000-${long}`, node: long, why: long }],
    pending: [],
    services: [
      { service: long, wanted: 9, before: { [long]: 2 }, after: { [long]: 3 }, serving: 1 },
    ],
  })
  for (const words of [
    ['simulate', '--kill', 'w1'],
    ['help', 'simulate'],
    ['help', 'plan'],
  ]) {
    const { code, out } = await tucano(...words)
    expect(code).toBe(0)
    for (const line of out.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  }
})

test('nodes says which loss would leave what without a place, and a single worker calmly', async () => {
  const lacks = [{ service: 'api', node: 'w1', count: 2, why: 'w2: is dead' }]
  const { tucano, ctld } = await createTestCli({ spare: { state: 'lacking', lacks } })
  const line = 'If w1 were lost, 2 of api would have no place: w2: is dead'
  expect((await tucano('nodes')).out).toContain(line)
  ctld.step({ spare: { state: 'single', lacks: [] } })
  expect((await tucano('nodes')).out).toContain('One worker is open')
  ctld.step({ spare: { state: 'ok', lacks: [] } })
  expect((await tucano('nodes')).out).not.toMatch(/were lost|One worker/)
})
