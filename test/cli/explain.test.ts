// tucano explain, against a fake controller.

import { expect, test } from 'vitest'
import { aService } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

const configured_services = [aService()]

test('says of every node why, or why not, and who is next', async () => {
  const { tucano } = await createTestCli({ configured_services, pending: [] })
  const { code, out, err } = await tucano('explain', 'api')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toBe(
    [
      'api: 1 of 3 placed; the next one: w2',
      'round robin: the fewest of its instances, then the next in the ring after w1',
      '',
      'NODE  ORDER  HAS  WHY, OR WHY NOT',
      'w1       no    1  has 1 already (max_per_node 1)',
      'w2        1    0  has 0 of its instances',
      '',
    ].join('\n'),
  )
})

test('tells what waits, and --json gives it all', async () => {
  const pending = [{ service: 'api', count: 2, why: 'w1: is dead' }]
  const { tucano } = await createTestCli({ configured_services, pending })
  expect((await tucano('explain', 'api')).out).toContain('2 without a place: w1: is dead\n')
  const { out } = await tucano('explain', 'api', '--json')
  expect(JSON.parse(out)).toMatchObject({ service: 'api', next: 'w2', pending })
})

test('a long reason goes on in the next lines, within 80 columns; --wide keeps it on one', async () => {
  const { tucano, ctld } = await createTestCli({ configured_services, pending: [] })
  const explanation = await ctld.explain('api')
  const reasons = Array.from({ length: 12 }, (_, n) => `has no label l${n} (constraint: has l${n})`)
  const [refused] = explanation.nodes
  if (refused === undefined) throw new Error('the fake explains no node')
  const node = 'a-node-with-a-name-of-sixty-three-characters-which-is-the-most-0'
  ctld.explanation = { ...explanation, nodes: [{ ...refused, node, why_not: reasons }] }
  const { out } = await tucano('explain', 'api')
  for (const line of out.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  expect(out.replaceAll(/\s+/g, ' ')).toContain(reasons.join('; '))
  expect((await tucano('explain', 'api', '--wide')).out).toContain(reasons.join('; '))
})

test('a service that is not there is an error', async () => {
  const { tucano } = await createTestCli({ configured_services })
  const { code, err } = await tucano('explain', 'ghost')
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('no service ghost') })
})
