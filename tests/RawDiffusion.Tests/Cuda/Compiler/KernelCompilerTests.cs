using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>The cache of compiled kernels: believed only where it is certainly right.</summary>
public class KernelCompilerTests
{
    private static readonly KernelTarget s_target = new("compute_80");

    private static readonly KernelSource s_source =
        new("one.cu", "#include \"h.cuh\"\nextern \"C\" __global__ void one(int* x) { *x = VALUE; }\n", new Dictionary<string, string> { ["h.cuh"] = "#define VALUE 1\n" });

    [SkippableFact]
    public void TheSecondProgramReadsWhatTheFirstCompiled()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        var first = new KernelCompiler(folder.Path);
        var compiled = first.Compile(s_source, s_target);
        var second = new KernelCompiler(folder.Path);
        var read = second.Compile(s_source, s_target);
        Assert.Equal((1, 0), (first.Compiled, first.Read));
        Assert.Equal((0, 1), (second.Compiled, second.Read));
        Assert.Equal(compiled.Image, read.Image);
        Assert.Equal(compiled.Log, read.Log);
        Assert.Contains(".loc", read.Ptx);
    }

    [SkippableFact]
    public void EverythingThatMattersIsPartOfTheKey()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        var compiler = new KernelCompiler(folder.Path);
        compiler.Compile(s_source, s_target);
        compiler.Compile(s_source with { Text = s_source.Text + " " }, s_target);
        compiler.Compile(s_source with { Headers = new Dictionary<string, string> { ["h.cuh"] = "#define VALUE 2\n" } }, s_target);
        compiler.Compile(s_source with { Name = "two.cu" }, s_target);
        compiler.Compile(s_source, new KernelTarget("compute_75"));
        compiler.Compile(s_source, s_target, "--fmad=false");
        Assert.Equal((6, 0), (compiler.Compiled, compiler.Read));

        // A header that is not included does not matter.
        var more = new Dictionary<string, string>(s_source.Headers) { ["other.cuh"] = "" };
        compiler.Compile(s_source with { Headers = more }, s_target);
        Assert.Equal((6, 1), (compiler.Compiled, compiler.Read));
    }

    [SkippableFact]
    public void AnEntryThatIsNotWholeOrNotOursIsRebuilt()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        byte[] image = new KernelCompiler(folder.Path).Compile(s_source, s_target).Image;
        string path = Assert.Single(Directory.GetFiles(folder.Path));
        byte[] whole = File.ReadAllBytes(path);
        var damages = new Dictionary<string, byte[]>
        {
            ["empty"] = [],
            ["cut in the header"] = whole[..50],
            ["cut in the image"] = whole[..^1],
            ["longer"] = [.. whole, 0],
            ["another program's file"] = [.. "ELF something else entirely"u8],
            ["another key"] = Flipped(8),
            ["another hash"] = Flipped(40),
            ["a bit of the log's length"] = Flipped(80),
            ["a bit of the image"] = Flipped(whole.Length - 20),
        };
        foreach (var (damage, bytes) in damages)
        {
            File.WriteAllBytes(path, bytes);
            var compiler = new KernelCompiler(folder.Path);
            Assert.Equal(image, compiler.Compile(s_source, s_target).Image);
            Assert.True(compiler is { Compiled: 1, Read: 0, CacheProblem: null }, damage);
            Assert.Equal(whole, File.ReadAllBytes(path));
        }

        byte[] Flipped(int at)
        {
            byte[] bytes = [.. whole];
            bytes[at] ^= 1;
            return bytes;
        }
    }

    [SkippableFact]
    public void AFolderThatCannotBeWrittenToIsNoError()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        string file = Path.Combine(folder.Path, "file");
        File.WriteAllText(file, "");
        var compiler = new KernelCompiler(Path.Combine(file, "kernels"));
        Assert.NotEmpty(compiler.Compile(s_source, s_target).Image);
        Assert.StartsWith(compiler.CacheFolder!, compiler.CacheProblem);
    }

    [SkippableFact]
    public void ThreadsCompileAtTheSameTime()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        var compiler = new KernelCompiler(folder.Path);
        var images = new byte[8][];
        Parallel.For(0, images.Length, i => images[i] = compiler.Compile(s_source, s_target, $"-DTHREAD={i % 2}").Image);
        Assert.All(images, image => Assert.Equal(images[0], image));
        Assert.Equal(2, Directory.GetFiles(folder.Path).Length);
    }

    /// <summary>Two processes write and read the same entries over and over; neither ever sees a part of one.</summary>
    [SkippableFact]
    public void ProcessesShareAFolder()
    {
        TestNvrtc.Require();
        using var folder = new TemporaryFolder();
        using var first = ChildProcess.Start("share-kernel-cache", folder.Path);
        using var second = ChildProcess.Start("share-kernel-cache", folder.Path);
        Assert.Equal("ok", ChildProcess.Finish(first));
        Assert.Equal("ok", ChildProcess.Finish(second));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    /// <summary>The part of <see cref="ProcessesShareAFolder"/> that runs in the other processes.</summary>
    public static string ShareCache(string folder)
    {
        var cache = new KernelCache(folder);
        byte[] key = new byte[32];
        byte[] image = new byte[300_000];
        new Random(1).NextBytes(image);
        for (int i = 0; i < 100; i++)
        {
            cache.Write(key, "shared.cu", image, "log");
            if (cache.Read(key, "shared.cu") is not var (read, log) || log != "log" || !read.AsSpan().SequenceEqual(image))
                return $"at {i} the entry could not be read whole";
        }
        return "ok";
    }
}
