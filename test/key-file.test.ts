// The next MAC key on its way to the servers: files that are replaced as a whole, keep their owner, and are secret.
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LicdError } from '../lib/error.ts'
import { addKey, dropKey, fileKeyStore, listKeys, makeKeyFile } from '../lib/key-file.ts'
import { initPool } from '../lib/pool-files.ts'
import { readPoolKey } from '../lib/pool-key.ts'
import { macKeyId } from '../lib/token-keys.ts'

async function refusal(run: Promise<unknown>): Promise<string> {
  try {
    await run
    return 'ok'
  } catch (error) {
    return error instanceof LicdError ? error.code : String(error)
  }
}

async function makePool(folder: string) {
  const { folders } = await initPool({
    ...{ folder, pool: 'test', servers: ['alpha', 'beta'], wall: Date.now, randomBytes },
  })
  return {
    alpha: folders.alpha ?? '',
    beta: folders.beta ?? '',
    at: (name: string) => join(folder, name),
  }
}

const make = (of: string, out: string) => makeKeyFile({ keyFile: of, out, randomBytes })

t.test('a key is made once, and taken into each server\u2019s file, newest first', async t => {
  const { alpha, beta, at } = await makePool(t.testdir())
  const file = join(alpha, 'pool.key')
  const before = await readPoolKey(file)
  const [oldId = ''] = before.macKeys.map(macKeyId)
  t.match(JSON.parse(readFileSync(file, 'utf8')), { format: 1, macKey: /^[\w-]{43}$/ })
  const { kid, pool } = await make(alpha, at('next.key'))
  t.equal(pool, 'test')
  t.equal(statSync(at('next.key')).mode & 0o777, 0o600)
  t.equal(await refusal(make(alpha, at('next.key'))), 'LICD_STORAGE', 'not over another one')
  t.same(await addKey(at('next.key'), alpha), { file, kids: [kid, oldId], unchanged: false })
  t.same(await addKey(at('next.key'), file), { file, kids: [kid, oldId], unchanged: true })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const after = await readPoolKey(file)
  t.same({ ...after, macKeys: [] }, { ...before, macKeys: [] }, 'all else stays')
  t.match(JSON.parse(readFileSync(file, 'utf8')), { format: 2, macKeys: [/./, /./] })
  await addKey(at('next.key'), beta)
  const found = await new Promise(resolve => fileKeyStore(join(beta, 'pool.key')).read(resolve))
  t.same(found, after.macKeys, 'what a running server finds')
  t.match(await dropKey(oldId, alpha), { kids: [kid] })
  t.match(JSON.parse(readFileSync(file, 'utf8')), { format: 1 }, 'as before keys were rotated')
  t.equal(await refusal(dropKey(oldId, alpha)), 'LICD_BAD_KEY', 'it is gone')
  t.equal(await refusal(dropKey(kid, alpha)), 'LICD_BAD_KEY', 'the last one stays')
  t.match(await listKeys(alpha), { kids: [kid] })
  t.match(await listKeys(at('next.key')), { kids: [kid] }, 'as of what was made')
})

t.test('foreign, damaged, loose and too many keys are refused, and nothing changes', async t => {
  const folder = t.testdir()
  const { alpha, at } = await makePool(join(folder, 'own'))
  const other = await makePool(join(folder, 'other'))
  await make(alpha, at('next.key'))
  await make(other.alpha, other.at('next.key'))
  const whole = readFileSync(join(alpha, 'pool.key'), 'utf8')
  t.equal(await refusal(addKey(other.at('next.key'), alpha)), 'LICD_WRONG_POOL', 'of that name too')
  const text = readFileSync(at('next.key'), 'utf8')
  const fields = JSON.parse(text) as Record<string, unknown>
  const write = (content: string, mode = 0o600) => {
    writeFileSync(at('bad.key'), content)
    chmodSync(at('bad.key'), mode)
  }
  const wrong: [string, string][] = [
    [JSON.stringify({ ...fields, format: 2 }), 'LICD_BAD_KEY'],
    [JSON.stringify({ ...fields, macKey: 'AAAA' }), 'LICD_BAD_KEY'],
    [JSON.stringify({ ...fields, kid: 'another' }), 'LICD_BAD_KEY'],
    [JSON.stringify({ ...fields, pool: undefined }), 'LICD_BAD_KEY'],
    [whole, 'LICD_BAD_KEY'],
    [text.slice(0, 50), 'LICD_DATA_DAMAGED'],
  ]
  for (const [content, code] of wrong) {
    write(content)
    t.equal(await refusal(addKey(at('bad.key'), alpha)), code)
  }
  write(text, 0o644)
  t.equal(await refusal(addKey(at('bad.key'), alpha)), 'LICD_BAD_KEY', 'others may read it')
  t.equal(await refusal(addKey(at('none.key'), alpha)), 'LICD_BAD_KEY')
  t.equal(await refusal(addKey(at('next.key'), at('none'))), 'LICD_BAD_KEY')
  t.equal(readFileSync(join(alpha, 'pool.key'), 'utf8'), whole)
  for (let n = 1; n <= 3; n++) {
    await make(alpha, at(`${n}.key`))
    await addKey(at(`${n}.key`), alpha)
  }
  t.equal(await refusal(addKey(at('next.key'), alpha)), 'LICD_TOO_MANY')
  const full = JSON.parse(readFileSync(join(alpha, 'pool.key'), 'utf8')) as object
  for (const macKeys of [[], ['x'], 'x', undefined, [7]]) {
    write(JSON.stringify({ ...full, macKeys }))
    t.equal(await refusal(readPoolKey(at('bad.key'))), 'LICD_BAD_KEY')
  }
})
