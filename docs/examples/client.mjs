// A platform in sixty lines: stores each batch of every gateway exactly once into SQLite, and says so.
// npm install mqtt node-sqlite3-wasm; node client.mjs mqtt-host 1883 platform.db
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { inflateSync } from 'node:zlib'

const require = createRequire(process.env.MODULES ? `${process.env.MODULES}/` : import.meta.url)
const mqtt = require('mqtt')
const { Database } = require('node-sqlite3-wasm')

const CONSUMER = 'city' // as under `receipts:` in the gateway's configuration
const [host, port, file] = process.argv.slice(2)
rmSync(`${file}.lock`, { recursive: true, force: true }) // a killed one has left it; one client per file
const db = new Database(file)
db.exec(`PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS batch (gateway, epoch, seq INTEGER, content, PRIMARY KEY (gateway, epoch, seq));
CREATE TABLE IF NOT EXISTS reading (gateway, meter, t INTEGER, quantity, value REAL);`)
const HELD = `SELECT min(seq) a, max(seq) b FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island
FROM batch WHERE gateway = ? AND epoch = ?) GROUP BY island ORDER BY 1 DESC LIMIT 500`

// One transaction; whether what is stored under the key is this batch.
function store(message) {
  const { t0, uptime, clock, ...content } = message
  const key = [message.gateway, message.epoch, message.seq]
  const text = JSON.stringify(content)
  const known = db.get('SELECT content FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?', key)
  if (known) return known.content === text
  db.exec('BEGIN IMMEDIATE')
  try {
    db.run('INSERT INTO batch VALUES (?, ?, ?, ?)', [...key, text])
    for (const table of message.tables ?? [])
      table.meter.forEach((meter, row) => {
        for (const [name, column] of Object.entries(table.values))
          if (column[row] !== null)
            db.run('INSERT INTO reading VALUES (?, ?, ?, ?, ?)', [key[0], meter, t0 + table.dt[row], name, column[row]])
      })
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
  return true
}

// A batch is stored, then receipted; to a gateway that comes online everything is said again.
function heard(topic, body) {
  const message = JSON.parse(body[0] === 0x78 ? inflateSync(body) : body)
  const gateway = topic.split('/')[2]
  const receipt = { epoch: message.epoch, upto: 0, have: [] }
  if (topic.endsWith('/state'))
    receipt.have = db.all(HELD, [gateway, message.epoch ?? '']).map(({ a, b }) => [a, b]).sort((x, y) => x[0] - y[0])
  else if (!topic.endsWith('/data') || message.gateway !== gateway) return // some brokers hand out more than was asked for
  else if (store(message)) receipt.have = [[message.seq, message.seq]]
  else receipt.conflicts = [message.seq]
  if (receipt.epoch) client.publish(`submeter/v1/${gateway}/receipt/${CONSUMER}`, JSON.stringify(receipt), { qos: 1 })
}

const client = mqtt.connect(`mqtt://${host}:${port}`)
client.on('connect', () => client.subscribe(['submeter/v1/+/data', 'submeter/v1/+/state'], { qos: 1 }))
client.on('message', heard)
