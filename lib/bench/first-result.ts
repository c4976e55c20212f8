/**
 * A process of its own, made by start.ts: from nothing to LeNet-5's first result. Prints how long that took and
 * how much memory the process holds. With the argument `bare` it does nothing first.
 */
const begin = performance.now()
if (process.argv[2] !== 'bare') {
  const { LeNet5 } = await import('../index.ts')
  LeNet5.pretrained()
    .compile({ inputShape: [1, 28, 28] })
    .run(new Float32Array(784))
}
const ms = performance.now() - begin
process.stdout.write(JSON.stringify({ ms, rss: process.memoryUsage.rss() }))

export {}
