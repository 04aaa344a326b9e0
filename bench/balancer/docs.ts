// stub
import type { BalancerReport } from './report.ts'
export function writeDocs(_: BalancerReport): void {}
