/** Preloaded: a clock that jumps an hour ahead and back, every 200 ms. */
const now = Date.now.bind(Date)
Date.now = () => now() + (Math.floor(performance.now() / 200) % 2 === 0 ? 3_600_000 : -3_600_000)
