//! Which clocks belong to which area code of North America, where 25 countries share the country code 1. A table and nothing
//! else.
//!
//! An area code says where a number was given out; most people still live there. Where a code lies in two zones both are
//! listed, the one with most people first. Codes that belong to no place (800, 888, 900, ..) are not here, and codes of
//! countries of their own stand in `places`.

/// Prefixes with the country code, and the zones that belong to them.
pub(super) const ZONES: &[(&[&str], &[&str])] = &[
    (EASTERN, &["America/New_York"]),
    (EASTERN_AND_CENTRAL, &["America/New_York", "America/Chicago"]),
    (CENTRAL_AND_EASTERN, &["America/Chicago", "America/New_York"]),
    (CENTRAL, &["America/Chicago"]),
    (CENTRAL_AND_MOUNTAIN, &["America/Chicago", "America/Denver"]),
    (MOUNTAIN, &["America/Denver"]),
    // Idaho.
    (&["1208", "1986"], &["America/Denver", "America/Los_Angeles"]),
    // Arizona keeps no summer time, but for the land of the Navajo.
    (&["1480", "1520", "1602", "1623"], &["America/Phoenix"]),
    (&["1928"], &["America/Phoenix", "America/Denver"]),
    (PACIFIC, &["America/Los_Angeles"]),
    (PACIFIC_AND_MOUNTAIN, &["America/Los_Angeles", "America/Denver"]),
    (&["1907"], &["America/Anchorage", "America/Adak"]),
    (&["1808"], &["Pacific/Honolulu"]),
    // Saskatchewan keeps no summer time, but for the places at Alberta's border.
    (&["1306", "1474", "1639"], &["America/Regina", "America/Denver"]),
    // The north of Canada, from Yukon to Baffin Island.
    (&["1867"], &["America/Denver", "America/Whitehorse", "America/Chicago", "America/New_York"]),
    // The east of Quebec has islands that keep the time of Halifax.
    (&["1367", "1418", "1581"], &["America/New_York", "America/Halifax"]),
    (&["1428", "1506", "1782", "1902"], &["America/Halifax"]),
    (&["1709", "1879"], &["America/St_Johns", "America/Halifax"]),
];

const EASTERN: &[&str] = &[
    "1201", "1202", "1203", "1207", "1212", "1215", "1216", "1220", "1223", "1226", "1227", "1229", "1231", "1234", "1239", "1240", "1248",
    "1249", "1252", "1260", "1263", "1267", "1269", "1272", "1276", "1283", "1289", "1301", "1302", "1304", "1305", "1313", "1315", "1317",
    "1321", "1324", "1326", "1329", "1330", "1332", "1336", "1339", "1343", "1347", "1351", "1352", "1354", "1363", "1365", "1380", "1382",
    "1386", "1401", "1404", "1407", "1410", "1412", "1413", "1416", "1419", "1434", "1436", "1437", "1438", "1440", "1443", "1445", "1450",
    "1463", "1468", "1470", "1472", "1475", "1478", "1484", "1502", "1508", "1513", "1514", "1516", "1517", "1518", "1519", "1540", "1548",
    "1551", "1561", "1567", "1570", "1571", "1579", "1582", "1585", "1586", "1603", "1607", "1609", "1610", "1613", "1614", "1616", "1617",
    "1624", "1631", "1640", "1645", "1646", "1647", "1656", "1667", "1678", "1679", "1680", "1681", "1683", "1686", "1689", "1703", "1704",
    "1705", "1706", "1716", "1717", "1718", "1724", "1727", "1728", "1732", "1734", "1740", "1742", "1743", "1753", "1754", "1757", "1762",
    "1765", "1770", "1771", "1772", "1774", "1781", "1786", "1802", "1803", "1804", "1810", "1813", "1814", "1819", "1821", "1826", "1828",
    "1835", "1838", "1839", "1843", "1845", "1848", "1854", "1856", "1857", "1859", "1860", "1862", "1863", "1864", "1865", "1873", "1878",
    "1904", "1905", "1908", "1910", "1912", "1914", "1917", "1919", "1929", "1934", "1937", "1941", "1942", "1943", "1947", "1948", "1954",
    "1959", "1973", "1978", "1980", "1984", "1989",
];

/// The Upper Peninsula, parts of Indiana, Kentucky and Tennessee, the west of Ontario.
const EASTERN_AND_CENTRAL: &[&str] = &["1423", "1574", "1606", "1807", "1812", "1906", "1930"];

/// The north-west of Indiana, the west of Kentucky, the Florida Panhandle.
const CENTRAL_AND_EASTERN: &[&str] = &["1219", "1270", "1364", "1448", "1850"];

const CENTRAL: &[&str] = &[
    "1204", "1205", "1210", "1214", "1217", "1218", "1224", "1225", "1228", "1235", "1251", "1254", "1256", "1262", "1274", "1281", "1309",
    "1312", "1314", "1316", "1318", "1319", "1320", "1325", "1327", "1331", "1334", "1337", "1346", "1353", "1361", "1402", "1405", "1409",
    "1414", "1417", "1430", "1431", "1447", "1457", "1464", "1469", "1471", "1479", "1501", "1504", "1507", "1512", "1515", "1531", "1534",
    "1539", "1557", "1563", "1572", "1573", "1580", "1584", "1601", "1608", "1612", "1615", "1618", "1621", "1629", "1630", "1636", "1641",
    "1651", "1659", "1660", "1662", "1682", "1708", "1712", "1713", "1715", "1726", "1730", "1731", "1737", "1763", "1769", "1773", "1779",
    "1806", "1815", "1816", "1817", "1830", "1832", "1847", "1861", "1870", "1872", "1901", "1903", "1913", "1918", "1920", "1924", "1931",
    "1936", "1938", "1940", "1945", "1952", "1956", "1972", "1975", "1979", "1985",
];

/// The Dakotas, the west of Kansas, Nebraska and Texas.
const CENTRAL_AND_MOUNTAIN: &[&str] = &["1308", "1432", "1605", "1620", "1701", "1785"];

const MOUNTAIN: &[&str] = &[
    "1303", "1307", "1368", "1385", "1403", "1406", "1435", "1505", "1575", "1587", "1719", "1720", "1780", "1801", "1825", "1915", "1970",
    "1983",
];

const PACIFIC: &[&str] = &[
    "1206", "1209", "1213", "1253", "1279", "1310", "1323", "1341", "1350", "1357", "1360", "1369", "1408", "1415", "1424", "1425", "1442",
    "1503", "1509", "1510", "1530", "1559", "1562", "1564", "1604", "1619", "1626", "1628", "1650", "1657", "1661", "1669", "1702", "1707",
    "1714", "1725", "1738", "1747", "1760", "1805", "1818", "1820", "1831", "1837", "1840", "1858", "1909", "1916", "1925", "1949", "1951",
    "1971",
];

/// British Columbia, the east of Oregon and Nevada.
const PACIFIC_AND_MOUNTAIN: &[&str] = &["1236", "1250", "1257", "1458", "1541", "1672", "1775", "1778"];
