import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * A Java program asks the gateway through the Arrow Flight SQL JDBC driver, as DBeaver or Tableau do. What it is asked to ask, and
 * what must come of it, is in the environment that gateway.py gives it. Its only argument is the JDBC URL.
 */
public class Gateway {
    private static final Logger QUIET = Logger.getLogger("org.apache.arrow");

    private static String told(String name) {
        return System.getenv(name);
    }

    private static Connection connect(String url, String password, String... headers) throws SQLException {
        Properties properties = new Properties();
        properties.put("useEncryption", "false");
        properties.put("user", "ada");
        properties.put("password", password);
        // What the driver does not know it sends as a header with every call.
        for (int at = 0; at < headers.length; at += 2) {
            properties.put(headers[at], headers[at + 1]);
        }
        return DriverManager.getConnection(url, properties);
    }

    private static void check(Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new AssertionError("got " + got + ", wanted " + wanted);
        }
    }

    private interface Asks {
        void run() throws SQLException;
    }

    private static String refused(String code, Asks asks) {
        try {
            asks.run();
        } catch (SQLException error) {
            if (String.valueOf(error).contains(code)) {
                return String.valueOf(error);
            }
            throw new AssertionError("no " + code + " in: " + error, error);
        }
        throw new AssertionError("not refused with " + code);
    }

    private static List<String> first(ResultSet rows, int column) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(column));
        }
        return values;
    }

    private static long number(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getLong(1);
        }
    }

    private static void lists(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        check(about.getDatabaseProductName(), "Datenraum");
        check(about.isReadOnly(), true);
        check(connection.isValid(5), true);
        try (ResultSet catalogs = about.getCatalogs()) {
            check(first(catalogs, 1), List.of("datenraum"));
        }
        try (ResultSet schemas = about.getSchemas()) {
            check(first(schemas, 1), List.of("collections", "datenraum"));
        }
        try (ResultSet tables = about.getTables(null, "collections", "%", new String[] {"TABLE"})) {
            check(first(tables, 3), List.of("breast_cancer", "lung_cancer", "measles_weekly"));
        }
        try (ResultSet columns = about.getColumns(null, null, "measles_weekly", null)) {
            check(first(columns, 4), List.of("district", "district_name", "year", "week", "cases", "node"));
        }
        try (ResultSet columns = about.getColumns(null, null, "measles_weekly", "year")) {
            columns.next();
            check(columns.getString("TYPE_NAME"), "BIGINT");
            check(columns.getString("REMARKS"), "group, filter; values 2001, 2002; unit a");
        }
        for (ResultSet keys : List.of(
                about.getPrimaryKeys(null, null, "breast_cancer"),
                about.getImportedKeys(null, null, "breast_cancer"),
                about.getExportedKeys(null, null, "breast_cancer"),
                about.getCrossReference(null, null, "breast_cancer", null, null, "lung_cancer"))) {
            check(keys.next(), false);
            keys.close();
        }
        try (ResultSet types = about.getTableTypes()) {
            check(first(types, 1), List.of("SYSTEM TABLE", "TABLE"));
        }
    }

    /** What DBeaver asks when it opens a connection, shows a table and runs what is in its editor. */
    private static void browses(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        check(about.supportsTransactions(), false);
        // The driver of this version answers it by itself, with nothing, and does not ask.
        about.getTypeInfo().close();
        try (ResultSet schemas = about.getSchemas("datenraum", "coll%")) {
            check(first(schemas, 1), List.of("collections"));
        }
        try (ResultSet tables = about.getTables("datenraum", "collections", "measles%", null)) {
            check(first(tables, 3), List.of("measles_weekly"));
        }
        try (ResultSet tables = about.getTables("elsewhere", null, "%", null)) {
            check(tables.next(), false);
        }
        try (ResultSet columns = about.getColumns("datenraum", "collections", "measles_weekly", "%")) {
            check(first(columns, 6), List.of("VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "BIGINT", "VARCHAR"));
        }
        try (PreparedStatement question = connection.prepareStatement(told("BY_DISTRICT"))) {
            check(question.getMetaData().getColumnCount(), 2);
            check(question.getMetaData().getColumnLabel(1), "district");
            check(question.getMetaData().getColumnTypeName(2), "BIGINT");
            check(question.getParameterMetaData().getParameterCount(), 1);
        }
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(2);
            statement.setFetchSize(2);
            check(statement.execute(told("BY_DISTRICT").replace("?", "2001")), true);
            int rows = 0;
            try (ResultSet answer = statement.getResultSet()) {
                check(answer.getMetaData().getColumnLabel(2), "cases");
                while (answer.next()) {
                    rows += 1;
                }
            }
            check(rows, 2);
            check(statement.getMoreResults(), false);
        }
    }

    private static void asks(Connection connection) throws SQLException {
        try (PreparedStatement question = connection.prepareStatement(told("BY_DISTRICT"))) {
            question.setInt(1, 2002);
            question.executeQuery().close();
            question.setInt(1, 2001);
            StringBuilder answer = new StringBuilder();
            try (ResultSet rows = question.executeQuery()) {
                while (rows.next()) {
                    answer.append(answer.length() == 0 ? "" : ";").append(rows.getString("district"));
                    answer.append("=").append(rows.getLong("cases"));
                }
            }
            check(answer.toString(), told("WANT_BY_DISTRICT"));
        }
        check(number(connection, "SELECT count(*) FROM datenraum.coverage WHERE status = 'answered'"), 2L);
        long count = 0;
        long cases = 0;
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(told("LARGE"))) {
            while (rows.next()) {
                count += 1;
                cases += rows.getLong("cases");
            }
        }
        check(count, Long.valueOf(told("LARGE_ROWS")));
        check(cases, Long.valueOf(told("LARGE_CASES")));
        // One that is cancelled in the middle, and one that is closed.
        for (int times = 0; times < 4; times += 1) {
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(told("LARGE"))) {
                check(rows.next(), true);
                if (times % 2 == 0) {
                    statement.cancel();
                }
            }
        }
        refused("E_SQL_COLLECTION", () -> number(connection, "SELECT count(*) FROM measles"));
        check(number(connection, "SELECT 1"), 1L);
    }

    private static void partial(String url) throws SQLException {
        try (Connection connection = connect(url, told("TOKEN"))) {
            String said = refused("E_PARTIAL", () -> number(connection, told("PARTIAL")));
            check(said.contains("1 of 2 nodes answered") && said.contains("rotterdam unreachable"), true);
            check(number(connection, "SELECT count(*) FROM datenraum.coverage WHERE status = 'unreachable'"), 1L);
        }
        try (Connection connection = connect(url, told("TOKEN"), "datenraum-minimum-nodes", "1")) {
            check(number(connection, told("PARTIAL")), Long.valueOf(told("PEOPLE")));
        }
        try (Connection connection = connect(url, told("TOKEN"), "datenraum-purpose", "ehds-54-b", "datenraum-minimum-nodes", "1")) {
            refused("E_PROHIBITED", () -> number(connection, told("PARTIAL") + " WHERE node = 'gbsg'"));
        }
    }

    /** A question that would take long is given up at once. (Closing the connection waits: the driver lets its calls end first.) */
    private static void givenUp(String url) throws Exception {
        try (Connection connection = connect(url, told("TOKEN")); Statement statement = connection.createStatement()) {
            long before = System.nanoTime();
            String[] ended = {"it was answered"};
            Thread asking = new Thread(() -> {
                try {
                    statement.executeQuery(told("STUCK"));
                } catch (Exception error) {
                    ended[0] = "it was given up";
                }
            });
            asking.start();
            Thread.sleep(500);
            statement.cancel();
            asking.join();
            check(ended[0], "it was given up");
            check((System.nanoTime() - before) / 1_000_000_000 < 4, true);
            check(number(connection, "SELECT 1"), 1L);
        }
    }

    public static void main(String[] words) throws Exception {
        QUIET.setLevel(Level.OFF);
        refused("E_GATEWAY_TOKEN", () -> connect(words[0], "wrong"));
        try (Connection connection = connect(words[0], told("TOKEN"))) {
            lists(connection);
            browses(connection);
            asks(connection);
        }
        partial(words[0]);
        givenUp(words[0]);
        System.out.println("ok");
        System.exit(0);
    }
}
