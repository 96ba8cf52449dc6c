namespace RawDiffusion.Tests;

public class RowTableTests
{
    private static readonly Tensor s_table = Tensor.From([1f, 2, 3, 4, 5, 6], [3, 1, 2], Device.Cpu);

    [Fact]
    public void Rows_take_the_place_of_what_was_there()
    {
        var table = new RowTable(s_table);
        var rows = Tensor.Zeros([2, 2], Device.Cpu);
        table.CopyTo(rows, [2, 0]);
        Assert.Equal([5, 6, 1, 2], rows.ToArray());
        table.CopyTo(rows, [1, 1]);
        Assert.Equal([3, 4, 3, 4], rows.ToArray());
        var more = Tensor.Zeros([3, 2], Device.Cpu);
        table.CopyTo(more, [0, 2, 1]);
        Assert.Equal([1, 2, 5, 6, 3, 4], more.ToArray());
        table.CopyTo(Tensor.Zeros([0, 2], Device.Cpu), []);
    }

    [Fact]
    public void A_backward_pass_over_replaced_rows_is_refused()
    {
        var x = Tensor.Ones([1, 2], Device.Cpu).RequireGrad();
        var rows = Tensor.Zeros([1, 2], Device.Cpu);
        var y = (x * rows).Sum();
        new RowTable(s_table).CopyTo(rows, [1]);
        Assert.Contains("in place", Assert.Throws<InvalidOperationException>(() => y.Backward()).Message);
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        var table = new RowTable(s_table);
        var rows = Tensor.Zeros([2, 2], Device.Cpu);
        Assert.Contains("no row 3 in a table of 3", Assert.Throws<ArgumentOutOfRangeException>(() => table.CopyTo(rows, [0, 3])).Message);
        Assert.Contains("no row -1", Assert.Throws<ArgumentOutOfRangeException>(() => table.CopyTo(rows, [-1, 0])).Message);
        Assert.Contains("do not fill [2, 2]", Assert.Throws<ArgumentException>(() => table.CopyTo(rows, [0])).Message);
        Assert.Contains("devices", Assert.Throws<ArgumentException>(() => table.CopyTo(Tensor.Zeros([1, 2], Device.Reference), [0])).Message);
        Assert.Contains("types", Assert.Throws<ArgumentException>(() => table.CopyTo(Tensor.EmptyInt32([1, 2], Device.Cpu), [0])).Message);
    }
}
