// The product posts to a receiver that checks signatures with the npm package of the Standard Webhooks convention.
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { check, ok, Seen, story } from './product.mjs'

// The receiver listens on this machine, which the product does not reach unless its operator says so.
process.env.SANASEND_EGRESS_ALLOW = '127.0.0.1'

/** A receiver on a free port: what it is told is in `seen`, with the very bytes. */
async function listen() {
    const seen = new Seen()
    const server = createServer(async (request, response) => {
        const chunks = []
        for await (const chunk of request) chunks.push(chunk)
        seen.add({ headers: request.headers, bytes: Buffer.concat(chunks).toString('utf8') })
        response.writeHead(204).end()
    })
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
    return { seen, server, url: `http://127.0.0.1:${server.address().port}/hook` }
}

await story('webhooks', 120_000, async start => {
    const product = await start()
    const { seen, server, url } = await listen()
    const made = await product.api('POST', '/webhooks/', { url, events: ['message.*'] })
    const verifier = new Webhook(made.secret)
    ok('an endpoint is made')

    const tested = await product.api('POST', `/webhooks/${made.id}/test/`)
    check(tested.delivered, 'a test arrives', tested)
    const test = await seen.first('the test', item => JSON.parse(item.bytes).type === 'webhook.tested')
    check(verifier.verify(test.bytes, test.headers).type === 'webhook.tested', 'the package takes the signature of the test')

    await product.link()
    const friend = await product.phone('Friend')
    const sent = await product.sendText(friend, 'Hello by webhook')
    const of = type => item => {
        const event = JSON.parse(item.bytes)
        return event.type === type && event.data.message.id === sent.id
    }
    const told = await seen.first('the delivery of the message', of('message.delivered'))
    const event = verifier.verify(told.bytes, told.headers)
    check(event.data.message.status === 'delivered' && event.id === told.headers['webhook-id'], 'the package takes message.delivered', event)

    const refuses = (bytes, headers, why) => {
        let refused = false
        try { verifier.verify(bytes, headers) } catch { refused = true }
        check(refused, `the package refuses ${why}`)
    }
    refuses(told.bytes.replace('delivered', 'read'), told.headers, 'a changed body')
    refuses(told.bytes, { ...told.headers, 'webhook-id': 'another' }, 'another id')

    const rotated = await product.api('POST', `/webhooks/${made.id}/rotate-secret/`, { grace_hours: 1 })
    const second = await product.sendText(friend, 'Signed twice')
    const both = await seen.first('a message after the rotation', item => JSON.parse(item.bytes).data.message?.id === second.id)
    check(both.headers['webhook-signature'].split(' ').length === 2, 'two signatures during a rotation')
    verifier.verify(both.bytes, both.headers)
    new Webhook(rotated.secret).verify(both.bytes, both.headers)
    ok('the package takes it with the old and with the new secret')
    server.closeAllConnections()
    server.close()
})
