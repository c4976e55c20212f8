/** Builds kernelet_bench (native/bench, no Node inside) in build-bench/ and runs it with the arguments. */
import { join } from 'node:path'
import { dropForeignBuild, jobs, requireToolchain, root, run, windows } from './util.mjs'

requireToolchain()
const folder = join(root, 'build-bench')
dropForeignBuild(folder)
run('cmake', ['-S', root, '-B', folder, '-DCMAKE_BUILD_TYPE=Release', '-DKERNELET_BENCH=ON'], { quiet: true })
run('cmake', ['--build', folder, '--config', 'Release', '--parallel', jobs], { quiet: true })
run(join(folder, windows ? 'Release/kernelet_bench.exe' : 'kernelet_bench'), process.argv.slice(2))
