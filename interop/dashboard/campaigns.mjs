// A campaign made of a file: the draft says what it would do, the page follows it live to its end.
import { check } from '../product.mjs'
import { says } from './browser.mjs'

export async function campaigns(watched, page, api, friend) {
    await page.goto(`${api}/admin/campaigns/`)
    await watched.look(page, 'campaigns-empty')
    await page.getByRole('link', { name: 'Make a campaign' }).first().click()
    await page.getByLabel('Name').fill('Spring')
    await page.getByLabel('Text').fill('Hi {{name')
    const file = csv => ({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) })
    const people = `phone,name\n${friend},Ana\n12,Ben\n`
    await page.getByLabel('Recipients').setInputFiles(file(people))
    await page.getByRole('button', { name: 'Make the draft' }).click()
    await page.locator('#content-error').waitFor()
    await watched.look(page, 'campaign-new-refused')
    await page.getByLabel('Text').fill('Hi {{name|there}}, we are open again.')
    await page.getByLabel('Recipients').setInputFiles(file(people))
    await page.getByRole('button', { name: 'Make the draft' }).click()
    await says(page, 'The campaign was made.')
    await page.getByRole('heading', { name: 'What it would do' }).waitFor()
    await watched.look(page, 'campaign-draft')
    await page.getByRole('button', { name: 'Start' }).click()
    await says(page, 'The campaign has begun.')
    await page.locator('#campaign-live').getByText('finished', { exact: true }).waitFor()
    check(true, 'the page follows the campaign to its end by itself')
    await watched.look(page, 'campaign')
    await page.getByRole('link', { name: 'Delete' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Delete the campaign' }).click()
    await says(page, 'The campaign was deleted.')
}
