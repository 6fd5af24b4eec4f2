import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Kafka's command-line tools in one process, since a process for each costs seconds.
 *
 * <p>Each line of its input is a JSON object: {"id": 1, "class": "…", "args": […], "input": "…"} runs a tool, {"stop": 1} ends one as a signal
 * would. Each line of its output is one line that a tool printed, {"id": 1, "out": "…"} or {"id": 1, "err": "…"}, or the tool's end,
 * {"id": 1, "exit": 0}. It ends when its input does.
 *
 * <p>A tool has its own standard streams, which the threads that it starts inherit, and its own classes, so that nothing static is left
 * over from the one before. A thread that has asked to exit is not heard any more: there it would be gone.
 */
public final class Tools {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8);
  private static final PrintStream ERR = System.err;
  private static final InheritableThreadLocal<Run> CURRENT = new InheritableThreadLocal<>();

  /** What a tool throws out of itself by asking to exit. */
  private static final class Ended extends Error {
    Ended() {
      super("exit", null, false, false);
    }
  }

  /** One run of a tool. */
  private static final class Run {
    final int id;
    final InputStream in;
    final Line out = new Line("out");
    final Line err = new Line("err");
    final List<Runnable> hooks = new ArrayList<>();
    private Integer status; // guarded by this
    final ClassLoader loader = new ToolClasses();
    private boolean over; // guarded by this
    private Thread gone; // the thread that has asked to exit, which is not heard any more; guarded by this

    Run(int id, String input) {
      this.id = id;
      this.in = new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8));
    }

    synchronized void exit(int status) {
      if (this.status == null) {
        this.status = status;
      }
      gone = Thread.currentThread();
      throw new Ended();
    }

    /** A stream that tells of whole lines. */
    final class Line extends OutputStream {
      private final String name;
      private final ByteArrayOutputStream part = new ByteArrayOutputStream(); // guarded by Run.this

      Line(String name) {
        this.name = name;
      }

      @Override
      public void write(int b) {
        synchronized (Run.this) {
          if (over || Thread.currentThread() == gone) {
            return;
          }
          if (b != '\n') {
            part.write(b);
            return;
          }
          tell(JSON.createObjectNode().put("id", id).put(name, part.toString(StandardCharsets.UTF_8)));
          part.reset();
        }
      }

      void end() {
        if (part.size() > 0) {
          write('\n');
        }
      }
    }

    void main(String name, String[] args) {
      try {
        Thread.currentThread().setContextClassLoader(loader);
        loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) args);
      } catch (InvocationTargetException e) {
        if (!(e.getCause() instanceof Ended)) {
          failed(e.getCause());
        }
      } catch (Throwable e) {
        failed(e);
      }
      List<Runnable> last;
      synchronized (this) {
        gone = null;
        last = new ArrayList<>(hooks);
        hooks.clear();
      }
      last.addAll(registered());
      last.forEach(Runnable::run);
      synchronized (this) {
        out.end();
        err.end();
        tell(JSON.createObjectNode().put("id", id).put("exit", status == null ? 0 : status));
        over = true;
      }
    }

    private synchronized void failed(Throwable e) {
      if (status == null) {
        status = 1;
        for (byte b : ("Exception in thread \"main\" " + e + "\n").getBytes(StandardCharsets.UTF_8)) {
          err.write(b);
        }
      }
    }

    /** Takes the hooks that the tool has registered with the Java machine itself. */
    private List<Thread> registered() {
      List<Thread> found = new ArrayList<>();
      try {
        Field field = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        field.setAccessible(true);
        for (Object hook : new ArrayList<>(((Map<?, ?>) field.get(null)).keySet())) {
          Thread thread = (Thread) hook;
          if (thread.getContextClassLoader() == loader && Runtime.getRuntime().removeShutdownHook(thread)) {
            found.add(thread);
          }
        }
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
      return found;
    }

    void stop() {
      List<Runnable> last;
      synchronized (this) {
        last = new ArrayList<>(hooks);
        hooks.clear();
      }
      last.addAll(registered());
      for (Runnable hook : last) {
        Thread thread = new Thread(() -> {
          CURRENT.set(this);
          hook.run();
        });
        thread.setDaemon(true);
        thread.start();
      }
    }
  }

  /** The classes of the tools anew; all others are those of this program. */
  private static final class ToolClasses extends URLClassLoader {
    ToolClasses() {
      super(jars(), Tools.class.getClassLoader());
    }

    private static URL[] jars() {
      return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
          .filter(path -> path.contains("kafka-tools-4"))
          .map(path -> {
            try {
              return new File(path).toURI().toURL();
            } catch (IOException e) {
              throw new IllegalStateException(e);
            }
          })
          .toArray(URL[]::new);
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("org.apache.kafka.tools.")) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        if (loaded != null) {
          return loaded;
        }
        try {
          return findClass(name);
        } catch (ClassNotFoundException e) {
          return super.loadClass(name, resolve); // those of kafka-tools-api
        }
      }
    }
  }

  /** The standard output or error of whichever tool the thread belongs to. */
  private static PrintStream dispatch(boolean error) {
    return new PrintStream(new OutputStream() {
      @Override
      public void write(int b) {
        Run run = CURRENT.get();
        if (run == null) {
          ERR.write(b);
        } else {
          (error ? run.err : run.out).write(b);
        }
      }
    }, true, StandardCharsets.UTF_8);
  }

  private static synchronized void tell(ObjectNode line) {
    OUT.println(line);
  }

  public static void main(String[] args) throws Exception {
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    System.setOut(dispatch(false));
    System.setErr(dispatch(true));
    System.setIn(new InputStream() {
      @Override
      public int read() throws IOException {
        Run run = CURRENT.get();
        return run == null ? -1 : run.in.read();
      }
    });
    Exit.Procedure exit = (status, message) -> {
      Run run = CURRENT.get();
      if (run == null) {
        throw new Ended();
      }
      run.exit(status);
    };
    Exit.setExitProcedure(exit);
    Exit.setHaltProcedure(exit);
    Exit.setShutdownHookAdder((name, hook) -> {
      Run run = CURRENT.get();
      if (run != null) {
        synchronized (run) {
          run.hooks.add(hook);
        }
      }
    });
    Map<Integer, Run> runs = new ConcurrentHashMap<>();
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      JsonNode command = JSON.readTree(line);
      if (command.has("stop")) {
        Run run = runs.get(command.get("stop").asInt());
        if (run != null) {
          run.stop();
        }
        continue;
      }
      Run run = new Run(command.get("id").asInt(), command.path("input").asText());
      List<String> argv = new ArrayList<>();
      command.get("args").forEach(arg -> argv.add(arg.asText()));
      String name = command.get("class").asText();
      runs.put(run.id, run);
      Thread thread = new Thread(() -> {
        CURRENT.set(run);
        run.main(name, argv.toArray(String[]::new));
        runs.remove(run.id);
      }, "tool " + run.id);
      thread.setDaemon(true);
      thread.start();
    }
    Runtime.getRuntime().halt(0);
  }
}
