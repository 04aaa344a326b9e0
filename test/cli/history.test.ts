// rollback, history, diff, and what deploy says of a deployment's cost and of its way back.

import { expect, test } from 'vitest'
import type { Deployment, DeployReceipt } from '#shared/model.ts'
import { aConfig, aDeployment, aService } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

const receipt: DeployReceipt = {
  before: { requests: 9_000, failed: 0, p99Ms: 41.2 },
  during: { requests: 12_000, failed: 3, p99Ms: 44 },
  after: { requests: 431, failed: 0, p99Ms: 42.9 },
  programs: [
    { program: 1, isNew: false, requests: 11_000, failed: 0, p99Ms: 41 },
    { program: 2, isNew: true, requests: 1_431, failed: 3, p99Ms: 43 },
  ],
}

const service = aService({
  revision: 2,
  programRevision: 2,
  goodRevision: 1,
  deployment: 'd-2',
  revisions: [
    { revision: 1, program: 1, config: aConfig({ env: { A: '1' } }), at: 1_000 },
    { revision: 2, program: 2, config: aConfig({ env: { A: '2', B: 'x' } }), at: 40_000 },
  ],
})

const deployed = (over: Partial<Deployment>): Deployment =>
  aDeployment({ id: 'd-2', kind: 'rollback', revision: 1, why: '2 of 2 running', ...over })

test('rollback goes to the revision that is named, waits, and tells what it cost', async () => {
  const cli = await createTestCli({ configured_services: [service] })
  cli.ctld.step({ deployments: [deployed({ state: 'complete_running', receipt })] })
  const { code, out, err } = await cli.tucano('rollback', 'api', '1')
  expect(cli.ctld.commands).toEqual([{ kind: 'rollback', service: 'api', revision: 1 }])
  expect({ code, out }).toEqual({ code: 0, out: 'api: revision 1 runs, 2 of 2 running\n' })
  expect(err).toContain('12,431 requests, 3 failed, p99 41 -> 43 ms (3 of 1,431 by revision 1)')
})

test('rollback without a number leaves the choice to the controller', async () => {
  const cli = await createTestCli({ configured_services: [service] })
  cli.ctld.step({ deployments: [deployed({ state: 'complete_running' })] })
  expect(await cli.tucano('rollback', 'api')).toMatchObject({ code: 0 })
  expect(cli.ctld.commands).toEqual([{ kind: 'rollback', service: 'api' }])
  expect(await cli.tucano('rollback', 'api', 'last')).toMatchObject({
    code: 2,
    err: expect.stringContaining('revision is a whole number'),
  })
})

test('one that was taken back fails, is waited for, and says where it is now', async () => {
  const cli = await createTestCli({ configured_services: [service] })
  const failure = { error: 'exited with code 1', instance: 'i-9', node: 'w2' }
  const failed = deployed({ state: 'reverted', why: 'crashed 2 times', revertedBy: 'd-3', failure })
  const back = aDeployment({ id: 'd-3', kind: 'revert', revision: 2, revertOf: 'd-2' })
  cli.ctld.step({ deployments: [failed, { ...back, state: 'partial_ok', why: '1 of 2 running' }] })
  const running = cli.begin(['rollback', 'api', '1'])
  await running.said(/failed: crashed 2 times/)
  const done = { ...back, state: 'complete_running', why: '2 of 2 running' } as const
  cli.ctld.step({ deployments: [failed, done] })
  const { code, err } = await running.done
  expect(code).toBe(1)
  expect(err).toContain('exited with code 1')
  expect(err).toContain('api is back at revision 2: 2 of 2 running')
})

test('history shows the revisions, newest first, and how the deployments went', async () => {
  const cli = await createTestCli({
    configured_services: [service],
    deployments: [
      deployed({ id: 'd-1', kind: 'deploy', state: 'complete_running', createdAt: 1_000 }),
      deployed({ kind: 'deploy', revision: 2, state: 'watching', createdAt: 40_000, receipt }),
    ],
  })
  const { code, out } = await cli.tucano('history', 'api')
  expect(code).toBe(0)
  const lines = out.split('\n').map((line) => line.trim())
  expect(lines[0]).toMatch(/^REVISION +SINCE +INSTANCES +STATE +CHANGED/)
  expect(lines[1]).toMatch(/^2 +60 s +\d+ +declared +env\.A, env\.B$/)
  expect(lines[2]).toMatch(/^1 +99 s +\d+ +good/)
  expect(lines[5]).toMatch(/^60 s +deploy +2 +watching .*12,431 requests, 3/)
  expect(lines[6]).toMatch(/^99 s +deploy +1 +complete_running/)
  const json = JSON.parse((await cli.tucano('history', 'api', '--json')).out)
  expect(json).toMatchObject({ revision: 2, goodRevision: 1, deployments: [{ id: 'd-2' }, {}] })
})

test('diff compares the declared revision with the one before, or any two', async () => {
  const cli = await createTestCli({ configured_services: [service] })
  const { code, out } = await cli.tucano('diff', 'api')
  expect(code).toBe(0)
  expect(out).toMatch(/^api: revision 1 -> 2\nKEY +BEFORE +AFTER\nenv\.A +1 +2\nenv\.B +- +x\n$/)
  expect((await cli.tucano('diff', 'api', '2', '1')).out).toMatch(/env\.B +x +-/)
  expect((await cli.tucano('diff', 'api', '1', '1')).out).toContain('nothing differs')
  expect(await cli.tucano('diff', 'api', '7')).toMatchObject({
    code: 1,
    err: expect.stringContaining('there is no revision 7 of api'),
  })
})
