import { describe, expect, test } from 'vitest'
import { findV1, findV2 } from '#agentd/isolation/hierarchy.ts'

const unified = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n'
const mount = (names: string, root = '/', at = `/sys/fs/cgroup/${names}`) =>
  `32 31 0:29 ${root} ${at} rw,relatime shared:9 - cgroup cgroup rw,${names}\n`
const legacy = ['memory', 'cpu,cpuacct', 'pids', 'freezer'].map((names) => mount(names)).join('')

describe('the own place with control groups v2', () => {
  test('is a folder of the agent beside the group that it moves to', () => {
    const { place, why } = findV2(unified, '0::/system.slice/tucano-agentd.service\n', 'a1')
    expect(new Set(Object.values(place?.folders ?? {}))).toEqual(
      new Set(['/sys/fs/cgroup/system.slice/tucano-agentd.service/tucano-a1']),
    )
    expect(why).toBe('control groups v2, below /system.slice/tucano-agentd.service')
  })

  test('is the same when the agent is in `main` already, as after a restart', () => {
    const first = findV2(unified, '0::/a.service\n', 'a1')
    expect(findV2(unified, '0::/a.service/main\n', 'a1')).toEqual(first)
  })

  test('is below what a container has mounted', () => {
    const part = '30 23 0:26 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'
    expect(findV2(part, '0::/docker/7/b\n', 'a1').place?.folders.pids).toBe(
      '/sys/fs/cgroup/b/tucano-a1',
    )
    expect(findV2(part, '0::/elsewhere\n', 'a1')).toMatchObject({ place: undefined })
  })

  test('is nowhere when nothing is mounted, which is said', () => {
    expect(findV2(legacy, '4:memory:/\n', 'a1')).toEqual({
      place: undefined,
      why: 'control groups v2 are not mounted',
    })
  })
})

describe('the own place with control groups v1', () => {
  test('is below the own group of each controller, which may differ', () => {
    const own = '4:memory:/box/7\n3:cpu,cpuacct:/\n2:pids:/box\n1:freezer:/\n0::/\n'
    expect(findV1(legacy, own, 'a1').place).toEqual({
      version: 'v1',
      folders: {
        memory: '/sys/fs/cgroup/memory/box/7/tucano-a1',
        cpu: '/sys/fs/cgroup/cpu,cpuacct/tucano-a1',
        cpuacct: '/sys/fs/cgroup/cpu,cpuacct/tucano-a1',
        pids: '/sys/fs/cgroup/pids/box/tucano-a1',
        freezer: '/sys/fs/cgroup/freezer/tucano-a1',
      },
    })
  })

  test('needs all of the controllers, and names those that are missing', () => {
    const { place, why } = findV1(mount('memory') + mount('pids'), '', 'a1')
    expect(place).toBeUndefined()
    expect(why).toBe('control groups v1 lack cpu, cpuacct, freezer')
  })

  test('is found where a path has spaces, which the kernel writes in octal', () => {
    const odd = legacy + mount('memory', '/', '/sys/fs/my\\040groups').replace('32 ', '33 ')
    const { place } = findV1(odd.replace(mount('memory'), ''), '', 'a1')
    expect(place?.folders.memory).toBe('/sys/fs/my groups/tucano-a1')
  })
})
