import t from 'tap'
import { FreshMap } from '../lib/fresh-map.ts'

t.test(
  'it is a map, in the order in which its keys were set, however often it is made anew',
  async t => {
    const map = new FreshMap<string, number>()
    const model = new Map<string, number>()
    let differs = false
    for (let n = 0; n < 20_000; n++) {
      const key = `k${(n * 7_919) % 600}`
      if (n % 3 === 0) differs ||= map.delete(key) !== model.delete(key)
      else {
        map.set(key, n)
        model.set(key, n)
      }
      if (n % 50 === 0) map.refresh()
      if (n % 1_000 !== 0) continue
      t.strictSame([...map.values()], [...model.values()])
      t.equal(map.size, model.size)
    }
    t.notOk(differs, 'what was there and what was not')
    t.equal(map.get('none'), undefined)
    t.notOk(map.has('none'))
  },
)
