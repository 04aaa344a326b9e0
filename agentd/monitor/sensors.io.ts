// Metrics of this machine (M13), by systeminformation. Only its cheap calls: a sample costs about
// 10 ms of CPU, most of it in the `cat` that it starts for each network interface.

import { statfs } from 'node:fs/promises'
import { loadavg, networkInterfaces } from 'node:os'
import { currentLoad, mem, networkStats } from 'systeminformation'
import type { Sensors } from '#agentd/ports.ts'

/** More interfaces than this are container hosts' bridges, whose bytes are counted already. */
const INTERFACES_MAX = 8

/** `folder` lies on the disk that is reported. Rates are 0 in the first sample. */
export function createSensors(folder: string): Sensors {
  let running: ReturnType<Sensors['sample']> | undefined

  async function measure() {
    const [load, memory, disk, net] = [
      await currentLoad(),
      await mem(),
      // fsSize() starts `df` over every mount, which hangs on a share whose server is gone.
      await statfs(folder),
      await readNetwork(),
    ]
    return {
      cpu: share(load.currentLoad / 100),
      cores: Math.max(1, load.cpus.length),
      load: loadavg()[0] ?? 0,
      memory_total: memory.total,
      memory_used: Math.max(0, memory.total - memory.available),
      disk_total: disk.blocks * disk.bsize,
      disk_used: (disk.blocks - disk.bfree) * disk.bsize,
      ...net,
    }
  }

  return {
    // Two samples at the same time would halve each other's rates.
    sample() {
      running ??= measure().finally(() => {
        running = undefined
      })
      return running
    },
  }
}

async function readNetwork(): Promise<{ net_rx_per_s: number; net_tx_per_s: number }> {
  const names = networkNames()
  if (names.length === 0) return { net_rx_per_s: 0, net_tx_per_s: 0 }
  const stats = await networkStats(names.join(','))
  return {
    net_rx_per_s: stats.reduce((sum, { rx_sec }) => sum + rate(rx_sec), 0),
    net_tx_per_s: stats.reduce((sum, { tx_sec }) => sum + rate(tx_sec), 0),
  }
}

/** Interfaces with an address that others can reach: no loopback, no ports of a bridge. */
function networkNames(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([, addresses]) => addresses?.some((each) => !each.internal && !isLinkLocal(each)))
    .map(([name]) => name)
    .sort()
    .slice(0, INTERFACES_MAX)
}

function isLinkLocal({ address }: { address: string }): boolean {
  return address.startsWith('fe80:')
}

/** null or negative: the first sample, or a counter that began anew. */
function rate(perSecond: number | null): number {
  return perSecond !== null && Number.isFinite(perSecond) ? Math.max(0, perSecond) : 0
}

function share(value: number): number {
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0
}
